import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import { chooseSources, loadConfigured } from '../configured/load.ts'
import { sourceCheckDescription } from '../descriptions/source.ts'
import type { NoOptions } from '../options/option.ts'
import { checkLine } from '../output/proof-report.ts'

export const sourceCheckCommand: Command<NoOptions> = {
  ...sourceCheckDescription,
  async run(context, _options, names) {
    const { output, signal } = context
    const { configuration, openSource } = await loadConfigured(context)
    const unsound = new Set<string>()
    for (const configured of chooseSources(configuration, names)) {
      const source = openSource(configured)
      const { name, type } = source
      if (source.check === undefined)
        throw new HoldfastError('HF_UNSUPPORTED', `sources of type ${type} cannot be checked: ${name}`, {
          hint: `prove a backup of it instead: holdfast verify:run ${name}`,
        })
      output.print(name)
      try {
        await source.check({
          report: (check) => {
            if (check.outcome === 'failed' || check.outcome === 'skipped') unsound.add(name)
            if (output.json) output.message({ message_type: 'check', source: name, ...check })
            else output[check.outcome === 'failed' ? 'warn' : 'print'](checkLine(check))
          },
          signal,
        })
      } catch (error) {
        if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
        unsound.add(name)
        output.warn(`${name}: ${error.message}${error.hint === undefined ? '' : `\n  ${error.hint}`}`)
      }
    }
    if (unsound.size === 0) return 0
    throw new HoldfastError('HF_VERIFICATION_FAILED', `damaged, or not looked at whole: ${[...unsound].join(', ')}`)
  },
}
