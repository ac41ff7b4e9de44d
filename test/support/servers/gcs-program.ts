import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { commandPath } from '../command-path.ts'
import { hasTool, makeTool, toolCache } from '../tool-cache.ts'

export const FAKE_GCS_VERSION = '1.56.1'

const NAME = `fake-gcs-server-${FAKE_GCS_VERSION}`
const MODULE = `github.com/fsouza/fake-gcs-server@v${FAKE_GCS_VERSION}`
const BUILD_MS = 20 * 60_000

export const hasFakeGcs = (): boolean => hasTool(NAME)

export const fakeGcsProgram = (): string => join(toolCache(), NAME, 'fake-gcs-server')

export const canMakeFakeGcs = (): boolean => commandPath('go') !== undefined

/** Builds it with Go: about a minute. @throws Error when Go fails */
export function makeFakeGcs(): void {
  makeTool(NAME, (folder) => {
    chmodSync(folder, 0o755)
    const { status, stderr, error } = spawnSync('go', ['install', MODULE], {
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      // A download that hangs must not keep the tests from running without.
      timeout: BUILD_MS,
      env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' },
    })
    if (error !== undefined) throw error
    if (status !== 0) throw new Error(`go ended with ${status}: ${stderr.split('\n').slice(-6).join('\n')}`)
    chmodSync(join(folder, 'fake-gcs-server'), 0o755)
  })
}
