import { HoldfastError } from '../../../lib/errors.ts'

/** Where a repository lies in an S3 store. */
export interface S3Place {
  /** `https://host:port`; undefined for Amazon, whose client knows its addresses. */
  readonly endpoint: string | undefined
  readonly bucket: string
  /** Without slashes at either end; empty for a repository at the root of its bucket. */
  readonly prefix: string
  /** Of an address of Amazon that names one. */
  readonly region: string | undefined
}

const HINT = 'Write s3:HOST/BUCKET/PREFIX, s3:https://HOST:PORT/BUCKET/PREFIX, or s3:s3.amazonaws.com/BUCKET/PREFIX.'

/**
 * Reads what stands behind `s3:`, in restic's forms. Without a scheme it is HTTPS. `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` take the
 * place of Amazon's own address.
 * @throws HoldfastError HF_STORAGE_LOCATION
 */
export function parseS3Place(place: string, environment: Readonly<Record<string, string | undefined>>): S3Place {
  const written = /^https?:\/\//i.test(place) ? place : `https://${place.replace(/^\/\//, '')}`
  const url = URL.parse(written)
  if (url === null || url.hostname === '') throw refused('s3: names no host')
  if (url.username !== '' || url.password !== '')
    throw refused('s3: has a user or a password in its address', 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.')
  if (url.search !== '' || url.hash !== '') throw refused('s3: has a ? or # in its address')
  const [bucket = '', ...rest] = decodePath(url.pathname)
    .split('/')
    .filter((part) => part !== '')
  if (bucket === '')
    throw refused(
      `s3:${url.host} names no bucket`,
      url.hostname.includes('.') ? HINT : `When ${url.hostname} is the bucket: s3:s3.amazonaws.com/${url.hostname}.`,
    )
  const isAmazon = isAmazonHost(url.hostname)
  if (
    !isAmazon &&
    !url.hostname.includes('.') &&
    url.hostname !== 'localhost' &&
    !/^https?:/i.test(place) &&
    url.port === ''
  )
    throw refused(
      `${JSON.stringify(url.hostname)} is no host of an S3 store`,
      `When it is a bucket of Amazon: s3:s3.amazonaws.com/${url.hostname}/${bucket}. When it is a host: s3:https://${url.host}/${bucket}.`,
    )
  const instead = isAmazon ? environment.AWS_ENDPOINT_URL_S3 || environment.AWS_ENDPOINT_URL : undefined
  return {
    endpoint: instead === undefined || instead === '' ? (isAmazon ? undefined : url.origin) : endpointOf(instead),
    bucket,
    prefix: rest.join('/'),
    region: isAmazon ? amazonRegion(url.hostname) : undefined,
  }
}

/** `s3.amazonaws.com`, `s3.eu-central-1.amazonaws.com`, `s3.dualstack.us-west-2.amazonaws.com`, `s3.cn-north-1.amazonaws.com.cn`. */
const AMAZON = /^s3(?:[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-[0-9]))?\.amazonaws\.com(?:\.cn)?$/

const isAmazonHost = (host: string): boolean => AMAZON.test(host)

const amazonRegion = (host: string): string | undefined => AMAZON.exec(host)?.[1]

/** The place as people write it, with the endpoint that is asked. */
export function describeS3Place({ endpoint, bucket, prefix, region }: S3Place): string {
  const host = endpoint ?? `s3.${region === undefined ? '' : `${region}.`}amazonaws.com`
  return `s3:${host}/${prefix === '' ? bucket : `${bucket}/${prefix}`}`
}

function endpointOf(value: string): string {
  const url = URL.parse(value)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw refused('AWS_ENDPOINT_URL is no address of an S3 store', 'It has the form https://HOST:PORT.')
  return url.origin
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw refused('s3: has a % in its path that stands for nothing')
  }
}

const refused = (message: string, hint: string = HINT): HoldfastError =>
  new HoldfastError('HF_STORAGE_LOCATION', message, { hint })
