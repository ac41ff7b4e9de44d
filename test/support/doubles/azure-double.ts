import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Double, type DoubleStore, type DoubleVersion, startDouble } from './object-double.ts'

/** A container `locked` of an account `double` with versions and version-level immutability. Credentials are not looked at. */
export const startAzureDouble = (): Promise<Double> => startDouble(serve)

function serve(store: DoubleStore, request: IncomingMessage, body: Buffer, url: URL, answer: ServerResponse): unknown {
  const query = url.searchParams
  const name = decodeURIComponent(url.pathname).split('/').slice(3).join('/')
  const fail = (status: number, code: string): unknown => answer.writeHead(status, { 'x-ms-error-code': code }).end()
  if (query.get('comp') === 'list') {
    answer.setHeader('content-type', 'application/xml')
    return answer.end(listing(store.list(query.get('prefix') ?? ''), query))
  }
  if (name === '') return answer.writeHead(200, { 'x-ms-immutable-storage-with-versioning-enabled': 'true' }).end()
  const id = query.get('versionid')
  const version = id === null ? store.live(name) : store.versions.find((one) => one.name === name && one.id === id)
  const { method, headers } = request
  if (method === 'PUT' && query.get('comp') === null) {
    if (headers['if-none-match'] === '*' && version !== undefined) return fail(409, 'BlobAlreadyExists')
    const source = headers['x-ms-copy-source']
    const until = headers['x-ms-immutability-policy-until-date']
    const mode = String(headers['x-ms-immutability-policy-mode'] ?? 'unlocked')
    const retention = until === undefined ? undefined : { mode, untilMs: Date.parse(String(until)) }
    const copied = typeof source === 'string' ? versionOf(store, name, source)?.content : undefined
    const written = store.put(name, copied ?? body, retention)
    const copy = copied === undefined ? {} : { 'x-ms-copy-id': '1', 'x-ms-copy-status': 'success' }
    return answer.writeHead(copied === undefined ? 201 : 202, { 'x-ms-version-id': written.id, ...copy }).end()
  }
  if (version === undefined) return fail(404, 'BlobNotFound')
  if (method === 'PUT' && query.get('comp') === 'immutabilityPolicies') {
    const untilMs = Date.parse(String(headers['x-ms-immutability-policy-until-date']))
    const mode = String(headers['x-ms-immutability-policy-mode'])
    const before = version.retention
    if (/^locked$/i.test(before?.mode ?? '') && (untilMs < before!.untilMs || !/^locked$/i.test(mode)))
      return fail(409, 'BlobImmutableDueToPolicy')
    version.retention = { mode, untilMs }
    return answer.end()
  }
  if (method === 'PUT' && query.get('comp') === 'legalhold') {
    version.isHeld = headers['x-ms-legal-hold'] === 'true'
    return answer.end()
  }
  if (method === 'DELETE') {
    if (id === null) store.hide(name)
    else if (!store.isFree(version)) return fail(409, 'BlobImmutableDueToPolicy')
    else store.remove(version)
    return answer.writeHead(202).end()
  }
  answer.writeHead(200, {
    'content-length': version.content.length,
    'x-ms-version-id': version.id,
    etag: version.id,
    ...policyOf(version),
  })
  return answer.end(method === 'HEAD' ? undefined : version.content)
}

function versionOf(store: DoubleStore, name: string, source: string): DoubleVersion | undefined {
  const id = new URL(source).searchParams.get('versionid')
  return store.versions.find((one) => one.name === name && one.id === id)
}

const policyOf = ({ retention, isHeld }: DoubleVersion): Record<string, string> => ({
  ...(retention === undefined
    ? {}
    : {
        'x-ms-immutability-policy-until-date': new Date(retention.untilMs).toUTCString(),
        'x-ms-immutability-policy-mode': retention.mode,
      }),
  'x-ms-legal-hold': String(isHeld),
  // Copies are done at once.
  'x-ms-copy-id': '1',
  'x-ms-copy-status': 'success',
})

function listing(versions: readonly DoubleVersion[], query: URLSearchParams): string {
  const all = query.get('include')?.includes('versions') === true
  const blobs = versions
    .filter(({ hiddenMs }) => all || hiddenMs === undefined)
    .map(({ name, id, hiddenMs, content }) => {
      const current = hiddenMs === undefined ? '<IsCurrentVersion>true</IsCurrentVersion>' : ''
      const properties = `<Properties><Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified><Etag>0x1</Etag><Content-Length>${content.length}</Content-Length><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier></Properties>`
      return `<Blob><Name>${name}</Name><VersionId>${id}</VersionId>${current}${properties}</Blob>`
    })
  return `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://double/" ContainerName="locked"><Blobs>${blobs.join('')}</Blobs><NextMarker/></EnumerationResults>`
}
