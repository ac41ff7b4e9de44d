import { type FileHandle, open } from 'node:fs/promises'
import { toByteString } from '../../engine/archive/filter/index.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { dumpEntries, fileContent, findDumpSource } from '../../engine/restore/dump/dump-snapshot.ts'
import { writeTar, writeZip } from '../../engine/restore/dump/index.ts'
import { resolveFolder } from '../../engine/restore/snapshot-folder.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { argumentBytes } from '../argument-bytes.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type DumpOptions, dumpDescription } from '../descriptions/dump.ts'
import { quoteUnprintable } from '../output/width.ts'
import { type RepositorySession, withRepository } from '../repository-session.ts'
import { chooseSnapshot } from '../snapshot-choice.ts'

export const dumpCommand: Command<DumpOptions> = {
  ...dumpDescription,
  run(context, options, [reference, path]) {
    return withRepository(context, { lock: 'read' }, async (session) => {
      const { repository, signal } = session
      const { snapshot, subfolder } = await chooseSnapshot(repository, reference!, options, signal)
      await repository.loadIndex(signal)
      const root = await resolveFolder(repository, rootOf(snapshot), textToByteString(subfolder), signal)
      const source = await findDumpSource(repository, root, toByteString(argumentBytes(path!)), signal)
      if (source.kind === 'folder' && options.target === undefined && context.terminal.outputIsTerminal)
        throw new HoldfastError('HF_USAGE', 'an archive is not for a terminal', {
          hint: 'redirect the output, or write to a file with --target',
        })
      await using target = await openTarget(context, options.target)
      if (source.kind === 'folder') await dumpFolder(context, session, source, options, target)
      else for await (const chunk of fileContent(repository, source.node, signal)) await target.write(chunk)
      return 0
    })
  },
}

async function dumpFolder(
  { output }: CommandContext,
  { repository, signal }: RepositorySession,
  folder: Parameters<typeof dumpEntries>[1],
  { archive }: DumpOptions,
  { write }: Target,
): Promise<void> {
  const entries = dumpEntries(repository, folder, signal)
  const warn = (message: string): void => output.warn(`Warning: ${quoteUnprintable(message)}`)
  await (archive === 'zip' ? writeZip : writeTar)({ entries, write, warn })
}

interface Target extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>
}

/** The file, which only its owner can read when it is new, or else standard output. */
async function openTarget({ output }: CommandContext, path: string | undefined): Promise<Target> {
  if (path === undefined) return { write: (bytes) => output.write(bytes), [Symbol.asyncDispose]: async () => undefined }
  let file: FileHandle
  try {
    file = await open(path, 'w', 0o600)
  } catch (cause) {
    throw new HoldfastError('HF_TARGET_INVALID', `${path} cannot be written: ${(cause as Error).message}`, {
      cause,
      hint: 'name a file in a folder that exists',
    })
  }
  return { write: async (bytes) => void (await file.writeFile(bytes)), [Symbol.asyncDispose]: () => file.close() }
}
