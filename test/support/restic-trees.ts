import { execFileSync } from 'node:child_process'

/** Runs a restic program on a local repository and returns what it printed; throws when it fails. */
export function runRestic(program: string, repository: string, args: readonly string[], folder?: string): Buffer {
  return execFileSync(program, ['--repo', repository, '--no-cache', ...args], {
    env: { ...process.env, RESTIC_PASSWORD: 'golden' },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 256 * 1024 * 1024,
    ...(folder === undefined ? {} : { cwd: folder }),
  })
}

/** The programs to compare with: restic on the PATH, which tests require, and the one RESTIC_NEWEST names when it is set. */
export const resticPrograms: readonly string[] = ['restic', process.env.RESTIC_NEWEST ?? ''].filter(
  (name) => name !== '',
)

/** `0.19.1` */
export function resticVersion(program: string): string {
  const line = execFileSync(program, ['version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const version = /^restic (\d+\.\d+\.\d+)/.exec(line)?.[1]
  if (version === undefined) throw new Error(`${program} is no restic: ${line}`)
  return version
}

/** Raw bytes of all trees of the newest snapshot, as restic stored them, the root first. */
export function readTreeBlobs(program: string, repository: string): Map<string, Buffer> {
  const snapshots = JSON.parse(runRestic(program, repository, ['snapshots', '--json']).toString()) as { tree: string }[]
  const blobs = new Map<string, Buffer>()
  const waiting = snapshots.slice(-1).map((snapshot) => snapshot.tree)
  for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
    const bytes = runRestic(program, repository, ['cat', 'blob', id])
    blobs.set(id, bytes)
    const { nodes } = JSON.parse(bytes.toString('utf8')) as { nodes: { subtree?: string }[] }
    for (const { subtree } of nodes) if (subtree !== undefined && !blobs.has(subtree)) waiting.push(subtree)
  }
  return blobs
}
