/**
 * The program `ferry` in few files: loading a hundred modules one by one takes longer than what most
 * commands do. What only some commands need stays in files of its own.
 */
export default {
  // The threads of `ferry bench` begin in a file of their own.
  input: { ferry: 'client/main.ts', 'bench-client': 'client/measure/bench-client.ts' },
  platform: 'node',
  // What is imported twice is loaded once.
  checks: { ineffectiveDynamicImport: false },
  output: {
    dir: 'dist/bin',
    chunkFileNames: '[name].js',
    codeSplitting: {
      groups: [
        { name: 'commands', test: /\/(protocol|client\/commands|commander|xxhash-wasm)\// },
        { name: 'transfer', test: /\/transfer\/[^/]+$/ },
        { name: 'storage', test: /\/transfer\/local\/(?!worker)/ },
      ],
    },
  },
};
