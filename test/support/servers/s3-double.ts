import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/**
 * A double of an S3 server, in memory, written from the documentation: objects, ranges, listings by pages, create-only writes, uploads in
 * parts, and signatures that are checked. It has no versions, locks or policies. It proves our side of the conversation only; what S3 does
 * is proved on MinIO.
 */
export interface S3Double {
  readonly url: string
  readonly port: number
  /** What a client needs to be let in. */
  readonly environment: Readonly<Record<string, string>>
  /** By bucket, then by key. */
  readonly buckets: ReadonlyMap<string, Map<string, Buffer>>
  /** Uploads in parts that were neither completed nor aborted. */
  readonly unfinishedUploads: number
  stop(): Promise<void>
}

export interface S3DoubleOptions {
  readonly region?: string
  /** How it takes `If-None-Match: *`; `ignored` and `refused` are what some stores do. */
  readonly conditions?: 'honoured' | 'ignored' | 'refused'
  /** The header `Server`. */
  readonly serverName?: string
  readonly pageSize?: number
}

const ACCESS_KEY = 'DOUBLEACCESSKEY'
const SECRET_KEY = 'double/secret+key'
const SKEW_MS = 15 * 60_000

class S3Failure extends Error {
  readonly status: number
  readonly code: string
  readonly extra: string
  constructor(status: number, code: string, message: string, extra: string = '') {
    super(message)
    this.status = status
    this.code = code
    this.extra = extra
  }
}

/** The body of an S3 error, for proxies that answer in a server's place too. */
export const s3ErrorBody = (code: string, message: string = code, extra: string = ''): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${quoted(message)}</Message>${extra}</Error>`

interface Asked {
  readonly method: string
  readonly bucket: string
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export async function startS3Double(options: S3DoubleOptions = {}): Promise<S3Double> {
  const { region = 'us-east-1', serverName = 'S3Double' } = options
  const buckets = new Map<string, Map<string, Buffer>>()
  const uploads = new Map<string, Map<number, Buffer>>()
  const server = createServer((incoming, answer) => {
    answer.setHeader('server', serverName)
    serve(incoming, answer).catch((error: unknown) => {
      if (!(error instanceof S3Failure)) {
        incoming.destroy()
        return
      }
      const body = incoming.method === 'HEAD' ? undefined : s3ErrorBody(error.code, error.message, error.extra)
      answer.writeHead(error.status, { 'content-type': 'application/xml' }).end(body)
    })
  })

  async function serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const { method = 'GET', headers } = incoming
    const url = new URL(incoming.url ?? '/', 'http://double')
    const [, bucket = '', ...rest] = url.pathname.split('/')
    checkSignature(method, url, headers, body, region)
    const asked = { method, bucket, key: decodeURIComponent(rest.join('/')), query: url.searchParams, headers, body }
    if (asked.key === '') serveBucket(asked, answer)
    else serveObject(asked, answer)
  }

  function serveBucket({ method, bucket, query }: Asked, answer: ServerResponse): void {
    if (method === 'PUT') {
      if (buckets.has(bucket)) throw new S3Failure(409, 'BucketAlreadyOwnedByYou', 'it is yours')
      buckets.set(bucket, new Map())
      answer.end()
      return
    }
    const objects = bucketOf(bucket)
    if (method === 'HEAD') {
      answer.end()
      return
    }
    if (method !== 'GET') throw notImplemented(method)
    const prefix = query.get('prefix') ?? ''
    const isOfVersions = query.has('versions')
    const after = query.get('start-after') ?? query.get('marker') ?? query.get('key-marker') ?? ''
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
    const page = keys.slice(0, options.pageSize ?? 1000)
    const contents = page.map((key) => {
      const object = `<Key>${quoted(key)}</Key><Size>${objects.get(key)!.length}</Size>`
      if (!isOfVersions) return `<Contents>${object}</Contents>`
      return `<Version>${object}<VersionId>null</VersionId><IsLatest>true</IsLatest></Version>`
    })
    const isTruncated = page.length < keys.length
    answer.setHeader('content-type', 'application/xml')
    const result = isOfVersions ? 'ListVersionsResult' : 'ListBucketResult'
    const next = isOfVersions && isTruncated ? `<NextKeyMarker>${quoted(page.at(-1)!)}</NextKeyMarker>` : ''
    answer.end(`<${result}><IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join('')}</${result}>`)
  }

  function serveObject(asked: Asked, answer: ServerResponse): void {
    const { method, bucket, key, query, headers, body } = asked
    const objects = bucketOf(bucket)
    if (query.has('uploads') || query.has('uploadId')) {
      serveUpload(asked, objects, answer)
      return
    }
    if (method === 'PUT') {
      requireAbsent(objects, key, headers)
      objects.set(key, body)
      answer.setHeader('etag', '"double"').end()
      return
    }
    if (method === 'DELETE') {
      objects.delete(key)
      answer.writeHead(204).end()
      return
    }
    const content = objects.get(key)
    if (content === undefined) throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.')
    const range = /^bytes=([0-9]+)-([0-9]+)$/.exec(headers.range ?? '')
    let part = content
    if (range) {
      const first = Number(range[1])
      if (first >= content.length) throw new S3Failure(416, 'InvalidRange', 'The requested range is not satisfiable')
      part = content.subarray(first, Number(range[2]) + 1)
      answer.statusCode = 206
      answer.setHeader('content-range', `bytes ${first}-${first + part.length - 1}/${content.length}`)
    }
    answer.setHeader('content-length', part.length)
    answer.end(method === 'HEAD' ? undefined : part)
  }

  function serveUpload(asked: Asked, objects: Map<string, Buffer>, answer: ServerResponse): void {
    const { method, key, query, headers, body } = asked
    answer.setHeader('content-type', 'application/xml')
    if (query.has('uploads')) {
      const id = `upload-${uploads.size + 1}-${key.slice(-8)}`
      uploads.set(id, new Map())
      answer.end(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`)
      return
    }
    const id = query.get('uploadId')!
    const parts = uploads.get(id)
    if (parts === undefined) throw new S3Failure(404, 'NoSuchUpload', 'The specified upload does not exist.')
    if (method === 'PUT') {
      parts.set(Number(query.get('partNumber')), body)
      answer.setHeader('etag', '"part"').end()
      return
    }
    if (method === 'POST') {
      requireAbsent(objects, key, headers)
      const numbers = [...body.toString().matchAll(/<PartNumber>([0-9]+)<\/PartNumber>/g)].map(([, number]) =>
        Number(number),
      )
      objects.set(key, Buffer.concat(numbers.map((number) => parts.get(number)!)))
    } else answer.statusCode = 204
    uploads.delete(id)
    answer.end(method === 'POST' ? '<CompleteMultipartUploadResult></CompleteMultipartUploadResult>' : undefined)
  }

  function requireAbsent(objects: Map<string, Buffer>, key: string, headers: Asked['headers']): void {
    if (headers['if-none-match'] === undefined || options.conditions === 'ignored') return
    if (options.conditions === 'refused') throw notImplemented('If-None-Match')
    if (objects.has(key)) throw new S3Failure(412, 'PreconditionFailed', 'At least one precondition did not hold')
  }

  function bucketOf(name: string): Map<string, Buffer> {
    const objects = buckets.get(name)
    if (objects === undefined) throw new S3Failure(404, 'NoSuchBucket', 'The specified bucket does not exist')
    return objects
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    environment: { AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET_KEY },
    buckets,
    get unfinishedUploads() {
      return uploads.size
    },
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const notImplemented = (what: string): S3Failure => new S3Failure(501, 'NotImplemented', `${what} is not implemented`)

/** Signature version 4, as AWS documents it. */
function checkSignature(
  method: string,
  url: URL,
  headers: IncomingMessage['headers'],
  body: Buffer,
  region: string,
): void {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([0-9]+)\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(.+)$/
  const parts = pattern.exec(headers.authorization ?? '')
  if (parts === null) throw new S3Failure(403, 'AccessDenied', 'Access Denied')
  const [, accessKey, day, scope, signed, signature] = parts as unknown as string[]
  if (scope !== region)
    throw new S3Failure(
      400,
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${scope}' is wrong; expecting '${region}'`,
      `<Region>${region}</Region>`,
    )
  if (accessKey !== ACCESS_KEY) throw new S3Failure(403, 'InvalidAccessKeyId', 'The key does not exist in our records.')
  const time = String(headers['x-amz-date'])
  const sent = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (Math.abs(sent - Date.now()) > SKEW_MS)
    throw new S3Failure(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    )
  const contentHash = String(headers['x-amz-content-sha256'])
  const query = [...url.searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const names = signed!.split(';')
  const canonical = [
    method,
    url.pathname,
    query,
    ...names.map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    signed,
    contentHash,
  ]
  const toSign = ['AWS4-HMAC-SHA256', time, `${day}/${scope}/s3/aws4_request`, sha256(canonical.join('\n'))].join('\n')
  const key = [day, scope, 's3', 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part!).digest(),
    `AWS4${SECRET_KEY}`,
  )
  if (createHmac('sha256', key).update(toSign).digest('hex') !== signature)
    throw new S3Failure(403, 'SignatureDoesNotMatch', 'The request signature does not match.')
  if (sha256(body) !== contentHash)
    throw new S3Failure(400, 'XAmzContentSHA256Mismatch', 'The provided hash does not match what was computed.')
}

const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex')

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

function quoted(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
