import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type * as Sdk from '@aws-sdk/client-s3'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { BackendRequest } from '../backend.ts'
import { type BodyMemory, DirectBodies, type DirectOptions, type DirectRequest } from '../direct-bodies.ts'
import { interruption, throwIfInterrupted } from '../interruption.ts'
import { type NetworkSettings, tlsOptions } from '../network.ts'
import type { CallOptions } from '../storage.ts'
import { expectedRegion, type S3Call, s3Error } from './s3-error.ts'
import type { S3Options } from './s3-options.ts'
import { describeS3Place, type S3Place } from './s3-place.ts'

export interface S3ClientSettings {
  readonly place: S3Place
  readonly options: S3Options
  readonly environment: BackendRequest['environment']
  readonly network: NetworkSettings
}

/** Options of one request, as the SDK takes them. */
export interface RequestOptions {
  readonly abortSignal?: AbortSignal
}

/** What a read of an object brings. */
export interface S3Content {
  readonly output: Sdk.GetObjectCommandOutput
  /** All of the content; undefined when `output` has a stream of it. */
  readonly bytes: Uint8Array | undefined
}

const CONNECT_MS = 15_000
/** Those of which it is known that they honour `If-None-Match: *`. The name AmazonS3 says nothing: rclone and others have it, too. */
const CREATE_ONLY_SERVERS = /^MinIO/
/** A place of Amazon's under another address, such as an endpoint within a private network. */
const AMAZON_ADDRESS = /^https:\/\/[^/]+\.amazonaws\.com(\.cn)?(:[0-9]+)?$/
/** Keeps the SDK from looking for credentials when nothing is signed. */
const NOBODY = { accessKeyId: 'nobody', secretAccessKey: 'nobody' }
const SHA256_HEADER = 'x-amz-checksum-sha256'

/**
 * Connections to one store. The SDK is loaded and credentials are looked for by the first call. Every call makes one attempt, except that a
 * store which says what region it is of is asked again there, when nobody has named one.
 */
export class S3Client {
  readonly location: string
  readonly bucket: string
  readonly #settings: S3ClientSettings
  readonly #agents: { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent }
  /** Absent where a proxy makes the connections. */
  readonly #bodies: DirectBodies | undefined
  #region: string | undefined
  #client: Promise<Sdk.S3> | undefined
  #serverName: string | undefined

  constructor(settings: S3ClientSettings) {
    const { place, options, environment, network } = settings
    this.#settings = settings
    this.location = describeS3Place(place)
    this.bucket = place.bucket
    this.#region = options.region ?? place.region
    // Lock files are not counted among connections.
    const agent = {
      keepAlive: true,
      maxSockets: options.connections + 4,
      ...(hasProxy(environment) ? { proxyEnv: environment } : {}),
    }
    const bundle = environment.AWS_CA_BUNDLE
    const caFiles = network.caFiles.length === 0 && bundle ? [bundle] : network.caFiles
    this.#agents = {
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, ...tlsOptions({ ...network, caFiles }) }),
    }
    const { httpAgent, httpsAgent } = this.#agents
    if (!hasProxy(environment)) this.#bodies = new DirectBodies(httpAgent, httpsAgent)
  }

  /** Whether a create-only write may be left to the store; known from its answers. */
  get isCreateOnly(): boolean {
    const { endpoint } = this.#settings.place
    return this.isAmazon || AMAZON_ADDRESS.test(endpoint!) || CREATE_ONLY_SERVERS.test(this.#serverName ?? '')
  }

  /** Whether everything crosses a network in clear: HTTP, other than to this machine. */
  get isPlain(): boolean {
    const { endpoint } = this.#settings.place
    if (endpoint === undefined || !endpoint.startsWith('http://')) return false
    return !/^(localhost|127\.[0-9.]+|\[::1\])$/.test(new URL(endpoint).hostname)
  }

  /** Whether the store is Amazon's. */
  get isAmazon(): boolean {
    return this.#settings.place.endpoint === undefined
  }

  get region(): string {
    return this.#region ?? 'us-east-1'
  }

  /** @throws HoldfastError what the store answers, named; HF_INTERRUPTED */
  async call<Output>(
    call: S3Call,
    options: CallOptions | undefined,
    run: (client: Sdk.S3, request: RequestOptions) => Promise<Output>,
  ): Promise<Output> {
    throwIfInterrupted(options?.signal)
    const request = options?.signal === undefined ? {} : { abortSignal: options.signal }
    const attempt = async (): Promise<Output> => run(await this.#connected(), request)
    // Calls of the same moment all learn of another region, each about its own attempt.
    const asked = this.region
    try {
      return await attempt().catch((error: unknown) => {
        const region = expectedRegion(error)
        if (region === undefined || region === asked || this.#settings.options.region !== undefined) throw error
        if (region !== this.region) {
          this.#region = region
          this.#client = undefined
        }
        return attempt()
      })
    } catch (error) {
      throw this.errorOf(error, call, options)
    }
  }

  /** Reads an object. Its content is in `bytes` when it went into what `memory` gave for it; else `output` has a stream of it. */
  getObject(
    call: S3Call,
    options: CallOptions | undefined,
    target: Sdk.GetObjectCommandInput,
    memory: BodyMemory,
  ): Promise<S3Content> {
    return this.call(call, options, async (s3, request) => {
      const bodies = this.#bodies
      if (bodies === undefined) return { output: await s3.getObject(target, request), bytes: undefined }
      const { GetObjectCommand } = await import('@aws-sdk/client-s3')
      const command = new GetObjectCommand(target)
      const settings: DirectOptions = {
        memory,
        signal: options?.signal,
        connectMs: CONNECT_MS,
        stuckMs: this.#settings.network.stuckRequestTimeoutMs,
      }
      let bytes: Uint8Array | undefined
      // In the place of the SDK's own connection, which is asked last.
      command.middlewareStack.add(
        () => async (args) => {
          const response = await bodies.get(directRequestOf(args.request as SignedRequest), settings)
          bytes = response.bytes
          return { response } as never
        },
        { step: 'deserialize', priority: 'low', name: 'holdfastDirectBody' },
      )
      return { output: await s3.send(command, request), bytes }
    })
  }

  /** An error that came while an answer was read. */
  errorOf(error: unknown, call: S3Call, options: CallOptions | undefined): HoldfastError {
    return options?.signal?.aborted ? interruption(options.signal) : s3Error(error, call, this)
  }

  /** Whether somebody without credentials may list what begins with a prefix, or read an object. */
  async isAllowedToStrangers(
    what: { readonly Prefix: string } | { readonly Key: string },
    options: CallOptions | undefined,
  ): Promise<boolean> {
    const stranger = new S3Client({ ...this.#settings, options: { ...this.#settings.options, isAnonymous: true } })
    const object = `the bucket ${JSON.stringify(this.bucket)}`
    const call = { doing: 'look as a stranger at', object, permission: 's3:GetObject' }
    try {
      await stranger.call(call, options, async (s3, request) => {
        if ('Prefix' in what) await s3.listObjectsV2({ Bucket: this.bucket, ...what, MaxKeys: 1 }, request)
        else await s3.headObject({ Bucket: this.bucket, ...what }, request)
      })
      return true
    } catch (error) {
      if (isHoldfastError(error, 'HF_STORAGE_DENIED', 'HF_STORAGE_NOT_FOUND')) return false
      throw error
    } finally {
      stranger.close()
    }
  }

  close(): void {
    this.#agents.httpAgent.destroy()
    this.#agents.httpsAgent.destroy()
  }

  #connected(): Promise<Sdk.S3> {
    this.#client ??= this.#connect()
    return this.#client
  }

  async #connect(): Promise<Sdk.S3> {
    const { S3 } = await import('@aws-sdk/client-s3')
    const { place, options, environment, network } = this.#settings
    const isPathStyle =
      options.bucketLookup === 'path' || (options.bucketLookup === 'auto' && place.endpoint !== undefined)
    const credentials = options.isAnonymous ? NOBODY : credentialsOf(environment)
    const profile = environment.AWS_PROFILE
    const client = new S3({
      region: this.region,
      ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
      forcePathStyle: isPathStyle || place.bucket.includes('.'),
      ...(options.isAnonymous ? { signer: { sign: async (request) => request } } : {}),
      ...(credentials === undefined ? {} : { credentials }),
      ...(profile ? { profile } : {}),
      // One attempt: the layers around repeat, by the class of the error.
      maxAttempts: 1,
      // Stores that are not Amazon's may refuse what they do not know.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      ...(network.userAgent === undefined ? {} : { customUserAgent: network.userAgent }),
      // It would cost every pack a round trip.
      expectContinueHeader: false,
      requestHandler: { ...this.#agents, connectionTimeout: CONNECT_MS, socketTimeout: network.stuckRequestTimeoutMs },
    })
    this.#hashOnce(client)
    this.#listenToNames(client)
    return client
  }

  /**
   * The hash that a caller gives for its content is signed with the request instead of one that the SDK would compute; the store refuses
   * content that does not have it. Only Amazon, and stores that lock, get it as a checksum to keep, too.
   */
  #hashOnce(client: Sdk.S3): void {
    const { endpoint } = this.#settings.place
    client.middlewareStack.add(
      (next) => (args) => {
        const { headers } = args.request as { headers: Record<string, string> }
        const hash = headers[SHA256_HEADER]
        if (hash !== undefined) {
          headers['x-amz-content-sha256'] = Buffer.from(hash, 'base64').toString('hex')
          const isKept = endpoint === undefined || headers['x-amz-object-lock-mode'] !== undefined
          if (!isKept && headers['x-amz-sdk-checksum-algorithm'] === undefined) delete headers[SHA256_HEADER]
        }
        return next(args)
      },
      { step: 'build', priority: 'low', name: 'holdfastContentHash' },
    )
  }

  #listenToNames(client: Sdk.S3): void {
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args)
        const { headers } = result.response as { headers?: Record<string, string> }
        this.#serverName = headers?.server ?? this.#serverName
        return result
      },
      { step: 'deserialize', priority: 'low', name: 'holdfastServerName' },
    )
  }
}

/** A request of the SDK when everything is done to it. */
interface SignedRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

function directRequestOf({ protocol, hostname, port, path, query = {}, headers }: SignedRequest): DirectRequest {
  const pairs = Object.entries(query).map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
  return {
    isTls: protocol === 'https:',
    host: hostname.replace(/^\[|\]$/g, ''),
    port,
    path: pairs.length === 0 ? path : `${path}?${pairs.join('&')}`,
    headers,
  }
}

const hasProxy = (environment: BackendRequest['environment']): boolean =>
  ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'].some((name) => Boolean(environment[name]))

/** Of the request's environment; undefined leaves it to the SDK's own search: profiles, SSO, roles of the machine. */
function credentialsOf(
  environment: BackendRequest['environment'],
): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = environment
  if (!AWS_ACCESS_KEY_ID && !AWS_SECRET_ACCESS_KEY) return undefined
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) {
    const missing = AWS_ACCESS_KEY_ID ? 'AWS_SECRET_ACCESS_KEY' : 'AWS_ACCESS_KEY_ID'
    throw new HoldfastError('HF_SECRET_UNAVAILABLE', `${missing} is not set, though the other half of the key is`)
  }
  const key = { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY }
  return AWS_SESSION_TOKEN ? { ...key, sessionToken: AWS_SESSION_TOKEN } : key
}
