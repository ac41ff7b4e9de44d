import { isTemporaryName } from '../local/layout.ts'
import type { Attributes } from './protocol.ts'
import type { SftpClient } from './sftp-client.ts'

/** A temporary file this old belongs to a writer that died: the longest write there is takes minutes. */
const LEFTOVER_AGE_SECONDS = 24 * 60 * 60

/** Temporary files of writers that died, noticed by listings and removed by the next write. */
export class Leftovers {
  readonly #modified = new Map<string, number>()

  note(path: string, name: string, { modified }: Attributes): void {
    if (isTemporaryName(name) && modified !== undefined) this.#modified.set(path, modified)
  }

  /**
   * Removes those that are a day older than the file just written: all times are of the server's own clock. Safe even for a writer that slept for
   * a day: its write then fails and is repeated. What cannot be removed stays; nobody reads it.
   */
  async remove(client: SftpClient, justWritten: string): Promise<void> {
    if (this.#modified.size === 0) return
    const leftovers = [...this.#modified]
    this.#modified.clear()
    const now = (await client.stat(justWritten).catch(() => undefined))?.modified ?? 0
    const old = leftovers.filter(([, modified]) => now - modified > LEFTOVER_AGE_SECONDS)
    await Promise.allSettled(old.map(([path]) => client.remove(path)))
  }
}
