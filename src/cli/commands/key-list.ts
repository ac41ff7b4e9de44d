import { listKeys } from '../../engine/repository/key-management.ts'
import { shortId } from '../../lib/id.ts'
import type { Command } from '../command.ts'
import { keyListDescription } from '../descriptions/key-list.ts'
import type { NoOptions } from '../options/option.ts'
import { formatLocalTime } from '../output/local-time.ts'
import { renderTable } from '../output/table.ts'
import { withRepository } from '../repository-session.ts'

export const keyListCommand: Command<NoOptions> = {
  ...keyListDescription,
  run(context) {
    const { output } = context
    return withRepository(context, { lock: 'read' }, async ({ repository, signal }) => {
      let exitCode = 0
      const keys = await listKeys(repository, {
        signal,
        onUnreadable: (id, error) => {
          exitCode = 1
          output.warn(`key ${shortId(id)} cannot be read: ${error.message}`)
        },
      })
      const rows = keys.map(({ id, isCurrent, username, hostname, created, sealedFor, kit }) => ({
        current: isCurrent,
        id,
        userName: username,
        hostName: hostname,
        created: formatLocalTime(created),
        ...(sealedFor.length === 0 ? {} : { sealedFor }),
        ...(kit === undefined ? {} : { kit }),
      }))
      const isAnySealed = rows.some(({ sealedFor, kit }) => (sealedFor ?? kit) !== undefined)
      if (output.json) output.message(rows)
      else
        output.result(
          renderTable({
            headers: [' ID', 'User', 'Host', 'Created', ...(isAnySealed ? ['Sealed for'] : [])],
            rows: rows.map(({ current, id, userName, hostName, created, sealedFor, kit }) => [
              `${current ? '*' : ' '}${shortId(id)}`,
              userName,
              hostName,
              created,
              ...(isAnySealed ? [kit === undefined ? (sealedFor?.join(', ') ?? '') : `kit ${kit}`] : []),
            ]),
          }),
        )
      return exitCode
    })
  },
}
