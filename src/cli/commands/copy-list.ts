import { type CopyPlace, copiesOf } from '../../control/copy-status.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import { closedPlace, lookAtPlace } from '../configured/copy-places.ts'
import { chooseSources, loadConfigured } from '../configured/load.ts'
import { conflictsOf } from '../configured/locations.ts'
import { withRepositories } from '../configured/open-repositories.ts'
import { copyListDescription } from '../descriptions/copy-list.ts'
import type { NoOptions } from '../options/option.ts'
import { copyListJson, copyListText } from '../output/copy-list.ts'

export const copyListCommand: Command<NoOptions> = {
  ...copyListDescription,
  async run(context, _options, names) {
    const { output, clock } = context
    const configured = await loadConfigured(context)
    const { repositories } = configured.configuration
    const sources = chooseSources(configured.configuration, names)
    const needed = [...new Set(sources.flatMap((source) => source.repositories))]
    const look = (name: string, session: Parameters<typeof lookAtPlace>[2]): Promise<CopyPlace> =>
      lookAtPlace(context, repositories.get(name)!, session)
    const closed = await withRepositories(
      context,
      configured,
      needed,
      { lock: 'read' },
      look,
      async ({ opened, unopened }) => {
        const placeOf = (name: string): CopyPlace =>
          opened.get(name) ?? closedPlace(repositories.get(name)!, unopened.get(name)!)
        const all = sources.map((source) => {
          const conflicts = conflictsOf(configured.configuration, source)
          const places = source.repositories.map((name) => {
            const place = placeOf(name)
            return { ...place, problem: place.problem ?? conflicts.get(name)?.message }
          })
          return copiesOf(source.name, places)
        })
        if (output.json) output.message(all.map((one) => copyListJson(one)))
        else output.result(copyListText(all, clock.now()))
        return [...unopened.keys()]
      },
    )
    if (closed.length > 0)
      throw new HoldfastError('HF_RUN_FAILED', `not every repository could be looked at: ${closed.join(', ')}`)
    return 0
  },
}
