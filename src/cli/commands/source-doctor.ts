import { HoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import { chooseSources, loadConfigured } from '../configured/load.ts'
import { sourceDoctorDescription } from '../descriptions/source.ts'
import type { NoOptions } from '../options/option.ts'

export const sourceDoctorCommand: Command<NoOptions> = {
  ...sourceDoctorDescription,
  async run(context, _options, names) {
    const { output, signal } = context
    const { configuration, openSource } = await loadConfigured(context)
    const ill: string[] = []
    for (const configured of chooseSources(configuration, names)) {
      const { name, type } = configured
      const problems = await openSource(configured).examine(signal)
      if (problems.some(({ severity }) => severity === 'error')) ill.push(name)
      if (output.json) {
        output.message({ message_type: 'examination', source: name, type, problems })
        continue
      }
      if (problems.length === 0) output.print(`${name}: nothing to mend`)
      for (const { severity, what, remedy } of problems)
        output.print(
          `${name}: ${severity}: ${what}${remedy === undefined ? '' : `\n  ${remedy.replaceAll('\n', '\n  ')}`}`,
        )
    }
    if (ill.length === 0) return 0
    throw new HoldfastError('HF_RUN_FAILED', `backups would fail: ${ill.join(', ')}`)
  },
}
