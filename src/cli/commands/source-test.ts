import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import { chooseSources, loadConfigured } from '../configured/load.ts'
import { sourceTestDescription } from '../descriptions/source.ts'
import type { NoOptions } from '../options/option.ts'

export const sourceTestCommand: Command<NoOptions> = {
  ...sourceTestDescription,
  async run(context, _options, names) {
    const { output, signal } = context
    const { configuration, openSource } = await loadConfigured(context)
    const unreached: string[] = []
    for (const configured of chooseSources(configuration, names)) {
      const { name, type } = configured
      try {
        const { version, facts } = await openSource(configured).test(signal)
        if (output.json) output.message({ message_type: 'source', source: name, type, reachable: true, version, facts })
        else {
          const details = Object.entries(facts).map(([fact, value]) => `${fact} ${value}`)
          output.print([`${name}: ${version}`, ...details].join(', '))
        }
      } catch (error) {
        if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
        unreached.push(name)
        const { code, message, hint } = error
        if (output.json)
          output.message({
            message_type: 'source',
            source: name,
            type,
            reachable: false,
            error_code: code,
            message,
            hint,
          })
        else output.warn(`${name}: ${message}${hint === undefined ? '' : `\n  ${hint}`}`)
      }
    }
    if (unreached.length === 0) return 0
    throw new HoldfastError('HF_RUN_FAILED', `the test failed for ${unreached.join(', ')}`)
  },
}
