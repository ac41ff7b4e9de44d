import { currentHolder } from '../../engine/repository/lock-file.ts'
import { recover } from '../../engine/repository/repair/recover.ts'
import { localTimestamp } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'
import type { Command } from '../command.ts'
import { recoverDescription } from '../descriptions/recover.ts'
import type { NoOptions } from '../options/option.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { versionFacts } from '../version.ts'

export const recoverCommand: Command<NoOptions> = {
  ...recoverDescription,
  run(context) {
    const { output, clock } = context
    return withRepository(context, { lock: 'exclusive', withoutCache: true }, async ({ repository, signal }) => {
      const { hostname, username, uid, gid } = currentHolder()
      const time = localTimestamp(clock.now())
      const { roots, snapshot } = await recover(repository, {
        labels: { time, host: hostname, username, uid, gid, programVersion: `holdfast ${versionFacts().version}` },
        progress: progressOf(context),
        signal,
      })
      if (output.json)
        output.message({ message_type: 'summary', unreferenced_roots: roots.length, snapshot_id: snapshot?.id })
      else {
        output.result(`\nfound ${roots.length} unreferenced roots`)
        if (snapshot === undefined) output.print('no snapshot to write.')
        else output.result(`saved new snapshot ${shortId(snapshot.id)}`)
      }
      return 0
    })
  },
}
