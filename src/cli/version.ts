import { readFileSync } from 'node:fs'

/** The program whose interface the repository commands follow. */
export const RESTIC_VERSION = '0.19.1'

const goPlatforms: Readonly<Record<string, string>> = { win32: 'windows', sunos: 'solaris' }
const goArchitectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

export interface VersionFacts {
  readonly version: string
  /** `node v24.21.0`. */
  readonly runtime: string
  /** Names as Go uses them. */
  readonly platform: string
  readonly architecture: string
}

export function versionFacts(): VersionFacts {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return {
    version: manifest.version,
    runtime: `node ${process.version}`,
    platform: goPlatforms[process.platform] ?? process.platform,
    architecture: goArchitectures[process.arch] ?? process.arch,
  }
}

export const versionLine = (facts: VersionFacts): string =>
  `holdfast ${facts.version} (like restic ${RESTIC_VERSION}) with ${facts.runtime} on ${facts.platform}/${facts.architecture}`
