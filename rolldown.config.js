import { join } from 'node:path';

/** A script knows no `await` at its top: client/main.ts waits. */
const noWaiting = {
  name: 'no-waiting',
  transform: {
    filter: { id: /\/protocol\/checksum\.ts$/ },
    handler: (code) => code.replace('await hasherReady;', ''),
  },
};

const compiledBeforehand = {
  name: 'compiled-beforehand',
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: 'package.json', source: '{ "type": "commonjs" }\n' });
  },
  async writeBundle({ dir }, files) {
    const { compileAhead } = await import('./dist/client/launch/compile-ahead.js');
    for (const { type, fileName } of Object.values(files)) {
      // Node itself loads the launcher.
      if (type === 'chunk' && fileName !== 'ferry.js') compileAhead(join(dir, fileName));
    }
  },
};

/**
 * The program `ferry` in few files: loading a hundred modules one by one takes longer than what most
 * commands do. What only some commands need stays in files of its own. They are scripts, since ES
 * modules cannot be compiled beforehand.
 */
export default {
  input: {
    ferry: 'client/launch/launch.ts',
    main: 'client/main.ts',
    // The threads of `ferry bench` begin in a file of their own.
    'bench-client': 'client/measure/bench-client.ts',
  },
  platform: 'node',
  // What is imported twice is loaded once.
  checks: { ineffectiveDynamicImport: false },
  plugins: [noWaiting, compiledBeforehand],
  output: {
    dir: 'dist/bin',
    format: 'cjs',
    chunkFileNames: '[name].js',
    comments: { annotation: false, jsdoc: false },
    codeSplitting: {
      groups: [
        { name: 'commands', test: /\/(protocol|client\/commands|commander|xxhash-wasm)\// },
        { name: 'transfer', test: /\/transfer\/[^/]+$/ },
        { name: 'storage', test: /\/transfer\/local\/(?!worker|new-space)/ },
      ],
    },
  },
};
