import { initRepository } from '../../engine/repository/repository.ts'
import { displayLocation } from '../../engine/storage/locations.ts'
import { chooseLocation, choosePassword, mainAccess, sourceAccess } from '../access.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type InitOptions, initDescription } from '../descriptions/init.ts'
import { readFirstPassword } from '../password.ts'
import { openNamedStorage, repositoryOptions, withRepository } from '../repository-session.ts'

export const initCommand: Command<InitOptions> = {
  ...initDescription,
  async run(context, options) {
    const { output, global, sources, environment } = context
    const access = mainAccess(global)
    const location = displayLocation(await chooseLocation(access, sources))
    const chunkerPolynomial = await sourcePolynomial(context, options)
    const storage = await openNamedStorage(context, access)
    try {
      const password = await readFirstPassword(context, choosePassword(access, sources, environment))
      const { config } = await initRepository(
        storage,
        { password },
        {
          ...repositoryOptions(context),
          version: options.repositoryVersion === '1' ? 1 : 2,
          chunkerPolynomial,
        },
      )
      if (output.json) output.message({ message_type: 'initialized', id: config.id, repository: location })
      else {
        output.print(`created restic repository ${config.id.slice(0, 10)} at ${location}`)
        if (chunkerPolynomial !== undefined) output.print(' with chunker parameters copied from secondary repository')
        output.print(PLEASE_NOTE)
      }
      return 0
    } finally {
      await storage.close()
    }
  },
}

const PLEASE_NOTE = `
Please note that knowledge of your password is required to access
the repository. Losing your password means that your data is
irrecoverably lost.`

async function sourcePolynomial(context: CommandContext, options: InitOptions): Promise<bigint | undefined> {
  if (!options.copyChunkerParams) return undefined
  return withRepository(
    context,
    { lock: 'none', access: sourceAccess(options) },
    async ({ repository }) => repository.config.chunkerPolynomial,
  )
}
