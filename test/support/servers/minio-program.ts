import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { commandPath } from '../command-path.ts'
import { hasTool, makeTool, toolCache } from '../tool-cache.ts'

/** The last published version of the module. */
export const MINIO_VERSION = 'v0.0.0-20260212201848-7aac2a2c5b7c'

const NAME = `minio-${MINIO_VERSION}`

export const hasMinio = (): boolean => hasTool(NAME)

export const minioProgram = (): string => join(toolCache(), NAME, 'minio')

export const canMakeMinio = (): boolean => commandPath('go') !== undefined

const BUILD_MS = 20 * 60_000

/**
 * Builds MinIO with Go: one to ten minutes of work for a processor, 180 MB.
 * @throws Error
 */
export function makeMinio(): void {
  makeTool(NAME, (folder) => {
    chmodSync(folder, 0o755)
    const { status, stderr, error } = spawnSync('go', ['install', `github.com/minio/minio@${MINIO_VERSION}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      timeout: BUILD_MS,
      env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' },
    })
    if (error !== undefined) throw error
    if (status !== 0) throw new Error(`go ended with ${status}: ${stderr.split('\n').slice(-6).join('\n')}`)
    chmodSync(join(folder, 'minio'), 0o755)
  })
}
