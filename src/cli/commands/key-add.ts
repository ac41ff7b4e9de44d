import { addKey } from '../../engine/repository/key-management.ts'
import type { Command } from '../command.ts'
import { keyAddDescription } from '../descriptions/key-add.ts'
import type { NewKeyOptions } from '../options/new-password.ts'
import { readNewPassword } from '../password.ts'
import { withRepository } from '../repository-session.ts'

export const keyAddCommand: Command<NewKeyOptions> = {
  ...keyAddDescription,
  run(context, options) {
    const { output } = context
    return withRepository(context, { lock: 'append' }, async ({ repository }) => {
      const password = await readNewPassword(context, options)
      const id = await addKey(repository, password, { username: options.user, hostname: options.host })
      if (output.json) output.message({ message_type: 'key_added', id })
      else output.print(`saved new key with ID ${id}`)
      return 0
    })
  },
}
