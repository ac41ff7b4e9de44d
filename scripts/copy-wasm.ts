import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Puts the compiled kernels beside the compiled JavaScript, which loads them relative to itself. Part of `npm run build`. */
const folder = 'engine/kernels/wasm'
cpSync(
  fileURLToPath(new URL(`../src/${folder}`, import.meta.url)),
  fileURLToPath(new URL(`../dist/${folder}`, import.meta.url)),
  {
    recursive: true,
  },
)
