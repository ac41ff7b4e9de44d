import { removeKey } from '../../engine/repository/key-management.ts'
import type { Command } from '../command.ts'
import { keyRemoveDescription } from '../descriptions/key-remove.ts'
import type { NoOptions } from '../options/option.ts'
import { withRepository } from '../repository-session.ts'

export const keyRemoveCommand: Command<NoOptions> = {
  ...keyRemoveDescription,
  run(context, _options, [prefix]) {
    const { output } = context
    return withRepository(context, { lock: 'exclusive' }, async ({ repository, signal }) => {
      const id = await removeKey(repository, prefix!, signal)
      if (output.json) output.message({ message_type: 'key_removed', id })
      else output.print(`removed key ${id}`)
      return 0
    })
  },
}
