import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** Cuts bytes that may be cut nowhere and hashes a batch. */
const program = `
import { createRabinScanner, MAX_CHUNK_BYTES } from './rabin.ts'
import { wasmRabinScan } from './rabin-wasm.ts'
import { rabinTables } from './rabin-plain.ts'
import { sharedWasmMemory } from './wasm.ts'
import { hashTogether, sha256Calibration, sha256Hex } from './sha256.ts'
const scanner = createRabinScanner(0x3da3358b4dc173n, MAX_CHUNK_BYTES)
scanner.memory.fill(255)
const jobs = [1, 2, 3, 4].map((byte) => ({ bytes: new Uint8Array(5000).fill(byte), digest: new Uint8Array(32) }))
hashTogether(jobs)
console.log(JSON.stringify({
  vectors: wasmRabinScan(rabinTables(0x3da3358b4dc173n), sharedWasmMemory(2), 65536) !== undefined,
  kernel: sha256Calibration().kernel,
  digests: jobs.every(({ bytes, digest }) => sha256Hex(bytes) === Buffer.from(digest).toString('hex')),
  cut: scanner.findCut(0, MAX_CHUNK_BYTES - 1_000_000, MAX_CHUNK_BYTES),
}))
`

describe('a processor without vectors', () => {
  test('cuts and hashes in plain code', () => {
    const options = ['--no-enable-ssse3', '--no-enable-sse4-1', '--input-type=module-typescript', '--eval', program]
    const output = execFileSync(process.execPath, options, {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      env: { ...process.env, HOLDFAST_NATIVE: 'off' },
      encoding: 'utf8',
    })
    const result = JSON.parse(output)
    expect(result).toMatchObject({ digests: true, cut: 8 * 1024 * 1024 })
    // The flags mean something on x64 only.
    if (process.arch === 'x64') expect(result).toMatchObject({ vectors: false, kernel: 'alone' })
  })
})
