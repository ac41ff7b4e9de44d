import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Double, type DoubleStore, type DoubleVersion, startDouble } from './object-double.ts'

/** A bucket `locked` with versions and object retention. Credentials are not looked at. */
export const startGcsDouble = (): Promise<Double> => startDouble(serve)

interface Described {
  readonly name?: string
  readonly retention?: { readonly mode: string; readonly retainUntilTime: string }
  readonly temporaryHold?: boolean
}

function serve(store: DoubleStore, request: IncomingMessage, body: Buffer, url: URL, answer: ServerResponse): unknown {
  const query = url.searchParams
  const fail = (status: number, reason: string): unknown =>
    answer.writeHead(status).end(JSON.stringify({ error: { code: status, errors: [{ reason }] } }))
  const say = (value: object): unknown => answer.end(JSON.stringify(value))
  if (url.pathname.startsWith('/upload/')) {
    const [, description = '', content = ''] = body.toString('latin1').split(/--[0-9a-f]{48}(?:--)?\r\n/)
    const { name, retention } = JSON.parse(contentOf(description)) as Described
    if (query.get('ifGenerationMatch') === '0' && store.live(name!) !== undefined) return fail(412, 'conditionNotMet')
    store.put(name!, Buffer.from(contentOf(content), 'latin1'), retentionOf(retention))
    return say({ name })
  }
  const object = /^\/storage\/v1\/b\/locked\/o\/([^/]+)/.exec(url.pathname)?.[1]
  if (object === undefined) {
    if (!url.pathname.endsWith('/o'))
      return say({ versioning: { enabled: true }, objectRetention: { mode: 'Enabled' } })
    const found = query.get('softDeleted') === 'true' ? [] : store.list(query.get('prefix') ?? '')
    const all = query.get('versions') === 'true'
    return say({ items: found.filter(({ hiddenMs }) => all || hiddenMs === undefined).map(describe) })
  }
  const name = decodeURIComponent(object)
  const generation = query.get('generation') ?? query.get('sourceGeneration')
  const version =
    generation === null ? store.live(name) : store.versions.find((one) => one.name === name && one.id === generation)
  if (version === undefined) return fail(404, 'notFound')
  if (request.method === 'POST') return say(describe(store.put(name, version.content)))
  if (request.method === 'PATCH') {
    const { retention, temporaryHold } = JSON.parse(body.toString()) as Described
    if (temporaryHold !== undefined) version.isHeld = temporaryHold
    const next = retentionOf(retention)
    if (
      version.retention?.mode === 'Locked' &&
      next &&
      (next.untilMs < version.retention.untilMs || next.mode !== 'Locked')
    )
      return fail(403, 'forbidden')
    if (next !== undefined) version.retention = next
    return say(describe(version))
  }
  if (request.method === 'DELETE') {
    if (generation === null) store.hide(name)
    else if (version.isHeld) return fail(403, 'objectUnderActiveHold')
    else if (!store.isFree(version)) return fail(403, 'retentionPolicyNotMet')
    else store.remove(version)
    return answer.writeHead(204).end()
  }
  if (query.get('alt') === 'media') return answer.end(version.content)
  return say(describe(version))
}

const contentOf = (part: string): string => part.slice(part.indexOf('\r\n\r\n') + 4).replace(/\r\n$/, '')

const retentionOf = (retention: Described['retention']): DoubleVersion['retention'] =>
  retention && { mode: retention.mode, untilMs: Date.parse(retention.retainUntilTime) }

const describe = ({ name, id, content, retention, isHeld, hiddenMs }: DoubleVersion): object => ({
  name,
  generation: id,
  size: String(content.length),
  temporaryHold: isHeld,
  ...(retention && { retention: { mode: retention.mode, retainUntilTime: new Date(retention.untilMs).toISOString() } }),
  ...(hiddenMs === undefined ? {} : { timeDeleted: new Date(hiddenMs).toISOString() }),
})
