import { changePassword } from '../../engine/repository/key-management.ts'
import type { Command } from '../command.ts'
import { keyPasswdDescription } from '../descriptions/key-passwd.ts'
import type { NewKeyOptions } from '../options/new-password.ts'
import { readNewPassword } from '../password.ts'
import { withRepository } from '../repository-session.ts'

export const keyPasswdCommand: Command<NewKeyOptions> = {
  ...keyPasswdDescription,
  run(context, options) {
    const { output } = context
    return withRepository(context, { lock: 'exclusive' }, async ({ repository }) => {
      const password = await readNewPassword(context, options)
      const old = repository.keyId
      const id = await changePassword(repository, password, { username: options.user, hostname: options.host })
      if (output.json) output.message({ message_type: 'key_replaced', old_id: old, id })
      else output.print(`saved new key with ID ${id}`)
      return 0
    })
  },
}
