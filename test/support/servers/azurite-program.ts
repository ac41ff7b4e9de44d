import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { commandPath } from '../command-path.ts'
import { hasTool, makeTool, toolCache } from '../tool-cache.ts'

export const AZURITE_VERSION = '3.35.0'

const NAME = `azurite-${AZURITE_VERSION}`
/** It takes half a minute; a registry that hangs must not keep the tests from running without. */
const INSTALL_MS = 10 * 60_000

export const hasAzurite = (): boolean => hasTool(NAME)

/** Its server of blobs, for Node. */
export const azuriteScript = (): string => join(toolCache(), NAME, 'node_modules/azurite/dist/src/blob/main.js')

export const canMakeAzurite = (): boolean => commandPath('npm') !== undefined

/**
 * Installs it, without the install scripts of what it brings. It is no dependency of this package because it would bring 250 more.
 * @throws Error when npm fails
 */
export function makeAzurite(): void {
  makeTool(NAME, (folder) => {
    const args = ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--no-save']
    const { status, stderr, error } = spawnSync('npm', [...args, `azurite@${AZURITE_VERSION}`], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      timeout: INSTALL_MS,
    })
    if (error !== undefined) throw error
    if (status !== 0) throw new Error(`npm ended with ${status}: ${stderr.split('\n').slice(-6).join('\n')}`)
  })
}
