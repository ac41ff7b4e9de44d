import { throwIfInterrupted } from '../interruption.ts'
import type { FolderEntry, SftpClient } from './sftp-client.ts'
import { isMissing } from './sftp-error.ts'

/** A server sends about a hundred entries at a time; so many such requests are on their way when a folder turns out to be large. */
const MOST_IN_FLIGHT = 32

/** All entries of a folder; none when there is no such folder. */
export async function listFolder(
  client: SftpClient,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<FolderEntry[]> {
  let handle: Buffer
  try {
    handle = await client.openFolder(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
  try {
    const entries: FolderEntry[] = []
    for (let width = 2; ; width = Math.min(MOST_IN_FLIGHT, width * 2)) {
      throwIfInterrupted(signal)
      const batches = await Promise.all(Array.from({ length: width }, () => client.readFolder(handle)))
      for (const batch of batches) if (batch !== undefined) entries.push(...batch)
      if (batches.includes(undefined)) return entries
    }
  } finally {
    client.close(handle).catch(() => undefined)
  }
}
