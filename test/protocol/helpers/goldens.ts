/** Every golden frame. fixtures/frames holds the same as files; `generate.ts` writes them. */

import type { Golden } from './golden.ts';
import { benchGoldens } from './goldens-bench.ts';
import { connectionAlsoValid, connectionGoldens } from './goldens-connection.ts';
import { pageGoldens } from './goldens-pages.ts';
import { requestGoldens } from './goldens-requests.ts';
import { transferAlsoValid, transferGoldens } from './goldens-transfer.ts';

/** Read and written alike. */
export const goldens: readonly Golden[] = [
  ...connectionGoldens,
  ...requestGoldens,
  ...transferGoldens,
  ...pageGoldens,
  ...benchGoldens,
];

/** To be read like this, but written in another way. */
export const alsoValid: readonly Golden[] = [...connectionAlsoValid, ...transferAlsoValid];
