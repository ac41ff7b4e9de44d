import { applicableMigrations, applyMigration } from '../../engine/repository/migrate.ts'
import type { Command } from '../command.ts'
import { type MigrateOptions, migrateDescription } from '../descriptions/migrate.ts'
import { progressOf, withRepository } from '../repository-session.ts'

export const migrateCommand: Command<MigrateOptions> = {
  ...migrateDescription,
  run(context, { force }, names) {
    const { output } = context
    return withRepository(context, { lock: 'exclusive', withoutCache: true }, async ({ repository, signal }) => {
      if (names.length === 0) {
        const possible = applicableMigrations(repository)
        if (output.json) output.message(possible.map(({ name, description }) => ({ name, description })))
        else {
          output.print('available migrations:')
          for (const { name, description } of possible) output.print(`  ${name}\t${description}`)
          if (possible.length === 0) output.print('no migrations found')
        }
        return 0
      }
      const progress = progressOf(context)
      for (const name of names) {
        const obstacle = await applyMigration(repository, name, { force, progress, signal })
        if (output.json) output.message({ message_type: 'migrated', name, applied: obstacle === undefined, obstacle })
        else if (obstacle === undefined) output.print(`migration ${name}: success`)
        else output.warn(`migration ${name} cannot be applied: ${obstacle}\n--force applies it anyway`)
      }
      return 0
    })
  },
}
