import {
  blobContent,
  configText,
  indexText,
  keyText,
  lockText,
  masterKeyText,
  packContent,
  snapshotText,
} from '../../engine/repository/cat.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { resolveFolder } from '../../engine/restore/snapshot-folder.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { isId } from '../../lib/id.ts'
import type { Command } from '../command.ts'
import { type CatType, catDescription } from '../descriptions/cat.ts'
import type { NoOptions } from '../options/option.ts'
import type { Output } from '../output/output.ts'
import { type RepositorySession, withRepository } from '../repository-session.ts'
import { chooseSnapshot, noSnapshotFilter } from '../snapshot-choice.ts'

export const catCommand: Command<NoOptions> = {
  ...catDescription,
  run(context, _options, [type, reference = '']) {
    if (typesWithId.includes(type as CatType)) requireId(type!, reference)
    return withRepository(context, { lock: 'read' }, async (session) => {
      await printers[type as CatType](context.output, session, reference)
      return 0
    })
  },
}

type Printer = (output: Output, session: RepositorySession, reference: string) => Promise<void>

const printers: Readonly<Record<CatType, Printer>> = {
  config: async (output, { repository }) => output.result(configText(repository)),
  masterkey: async (output, { repository }) => output.result(masterKeyText(repository)),
  index: async (output, { repository, signal }, id) => output.result(await indexText(repository, id, signal)),
  key: async (output, { repository, signal }, id) => output.result(await keyText(repository, id, signal)),
  lock: async (output, { repository, signal }, id) => output.result(await lockText(repository, id, signal)),
  async pack(output, { repository, signal }, id) {
    const { bytes, isIntact } = await packContent(repository, id, signal)
    if (!isIntact) output.warn(`Warning: pack ${id} is damaged: its content does not have the hash it is named by`)
    await output.write(bytes)
  },
  async blob(output, { repository, signal }, id) {
    await repository.loadIndex(signal)
    await output.write(await blobContent(repository, id, signal))
  },
  async snapshot(output, { repository, signal }, reference) {
    const { snapshot } = await chooseSnapshot(repository, reference, noSnapshotFilter, signal)
    output.result(snapshotText(snapshot))
  },
  async tree(output, { repository, signal }, reference) {
    const { snapshot, subfolder } = await chooseSnapshot(repository, reference, noSnapshotFilter, signal)
    await repository.loadIndex(signal)
    const tree = await resolveFolder(repository, rootOf(snapshot), textToByteString(subfolder), signal)
    await output.write(await repository.loadBlob('tree', tree, signal))
  },
}

/** Types whose id is a full one of 64 digits. */
const typesWithId: readonly CatType[] = ['index', 'key', 'lock', 'pack', 'blob']

function requireId(type: string, text: string): void {
  if (isId(text)) return
  throw new HoldfastError('HF_USAGE', `no full id of this type (${type}): ${JSON.stringify(text)}`, {
    hint: '"holdfast list" prints full ids, of 64 digits',
  })
}
