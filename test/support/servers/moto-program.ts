import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { commandPath } from '../command-path.ts'
import { hasTool, makeTool, toolCache } from '../tool-cache.ts'

export const MOTO_VERSION = '5.2.5'

/** Changes with the recipe. */
const NAME = `moto-${MOTO_VERSION}-1`
const INSTALL_LIMIT_MS = 10 * 60 * 1000

/** Whether moto has been installed for tests on this machine. */
export const hasMoto = (): boolean => commandPath('python3') !== undefined && hasTool(NAME)

/** The folder of its packages, for PYTHONPATH. */
export const motoPackages = (): string => join(toolCache(), NAME)

/** Whether this machine has Python with pip. */
export const canMakeMoto = (): boolean =>
  commandPath('python3') !== undefined && spawnSync('python3', ['-m', 'pip', '--version']).status === 0

/**
 * Installs moto with pip into a folder of its own: a minute, 300 MB.
 * @throws Error when pip fails
 */
export function makeMoto(): void {
  makeTool(NAME, (folder) => {
    const args = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', '--target', folder]
    const { status, stderr, error } = spawnSync('python3', [...args, `moto[server]==${MOTO_VERSION}`], {
      encoding: 'utf8',
      timeout: INSTALL_LIMIT_MS,
    })
    if (status !== 0) throw new Error(`pip cannot install moto: ${error?.message ?? stderr.slice(-500)}`)
  })
}
