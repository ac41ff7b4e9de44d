import { listBlobs, listFileIds } from '../../engine/repository/list-files.ts'
import type { Command } from '../command.ts'
import { type ListType, listDescription } from '../descriptions/list.ts'
import type { NoOptions } from '../options/option.ts'
import { withRepository } from '../repository-session.ts'

const PIECE_CHARACTERS = 64 * 1024

export const listCommand: Command<NoOptions> = {
  ...listDescription,
  run(context, _options, [type]) {
    const { output } = context
    const what = type as ListType
    // A lock of our own would be among the locks.
    return withRepository(context, { lock: what === 'locks' ? 'none' : 'read' }, async ({ repository, signal }) => {
      if (what !== 'blobs') {
        for (const id of await listFileIds(repository, what, signal)) output.result(id)
        return 0
      }
      // A large repository has many millions of blobs: no more lines at a time than the reader takes.
      let piece = ''
      for await (const blob of listBlobs(repository, signal)) {
        piece += `${blob.type} ${blob.id}\n`
        if (piece.length < PIECE_CHARACTERS) continue
        await output.write(Buffer.from(piece))
        piece = ''
      }
      await output.write(Buffer.from(piece))
      return 0
    })
  },
}
