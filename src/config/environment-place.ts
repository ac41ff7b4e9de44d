import { type Environment, variable } from './environment.ts'

/** Which store the documents mean by a name (S1-08 to S1-11). Read without regard to case. */
export const STORAGE_PROVIDER_VARIABLE = 'BACKUP_STORAGE_PROVIDER'
export const STORAGE_PATH_VARIABLE = 'BACKUP_STORAGE_PATH'
export const BUCKET_VARIABLE = 'BACKUP_S3_BUCKET'

const providers = ['Local', 'AWS_S3', 'Azure_Blob', 'Google_Cloud'] as const
type Provider = (typeof providers)[number]

/** The location of the repository that variables name, and which of them does; or why they name none. */
export type EnvironmentPlace =
  | { readonly url: string; readonly from: string }
  | { readonly from: string; readonly problem: string }

/**
 * Where the repository lies, as the documents write it: a folder, `s3://BUCKET/PATH`, `https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH`,
 * `gs://BUCKET/PATH`, or only a bucket. What looks like none of these is a location as everywhere else. Credentials, region and endpoint are
 * left to the store, which reads the variables of its vendor.
 * @returns undefined when no variable names a place
 */
export function placeInEnvironment(environment: Environment): EnvironmentPlace | undefined {
  const named = variable(environment, STORAGE_PROVIDER_VARIABLE)
  const provider = providers.find((known) => known.toLowerCase() === named?.toLowerCase())
  if (named !== undefined && provider === undefined)
    return { from: STORAGE_PROVIDER_VARIABLE, problem: `must be one of ${providers.join(', ')}` }
  const path = variable(environment, STORAGE_PATH_VARIABLE)
  const bucket = variable(environment, BUCKET_VARIABLE)
  if (path === undefined) {
    if (bucket !== undefined) return placeOfBucket(bucket, provider)
    if (named === undefined) return undefined
    return {
      from: STORAGE_PROVIDER_VARIABLE,
      problem: `defines no repository by itself; set ${STORAGE_PATH_VARIABLE}${provider === 'AWS_S3' ? ` or ${BUCKET_VARIABLE}` : ''}`,
    }
  }
  const form = forms.find(({ pattern }) => pattern.test(path))
  const wrong = (problem: string): EnvironmentPlace => ({ from: STORAGE_PATH_VARIABLE, problem })
  if (provider !== undefined && (form?.provider ?? providerOf(path)) !== provider)
    return wrong(`is no place of the provider ${provider}: ${examples[provider]}`)
  if (bucket !== undefined) {
    const other = form?.provider === 'AWS_S3' && bucketOf(path) === bucketOf(bucket)
    if (!other) return wrong(`${STORAGE_PATH_VARIABLE} and ${BUCKET_VARIABLE} name different places; unset one of them`)
  }
  if (form === undefined) return { from: STORAGE_PATH_VARIABLE, url: path }
  const result = form.locate(path, environment)
  return 'problem' in result ? wrong(result.problem) : { from: STORAGE_PATH_VARIABLE, url: result.url }
}

const examples: Readonly<Record<Provider, string>> = {
  Local: 'it has the form /backups',
  AWS_S3: 'it has the form s3://BUCKET/PATH',
  Azure_Blob: 'it has the form https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH',
  Google_Cloud: 'it has the form gs://BUCKET/PATH',
}

/** Of a location in the form that is used everywhere else. */
function providerOf(location: string): Provider | undefined {
  const scheme = /^([a-z0-9]+):/.exec(location)?.[1]
  if (scheme === undefined || scheme === 'local') return 'Local'
  return ({ s3: 'AWS_S3', azure: 'Azure_Blob', gs: 'Google_Cloud' } as const)[scheme as 's3']
}

type Located = { readonly url: string } | { readonly problem: string }

interface Form {
  readonly provider: Provider
  readonly pattern: RegExp
  readonly locate: (path: string, environment: Environment) => Located
}

const forms: readonly Form[] = [
  { provider: 'AWS_S3', pattern: /^s3:\/\//i, locate: (path) => s3Location(path.slice('s3://'.length)) },
  {
    provider: 'Google_Cloud',
    pattern: /^gs:\/\//i,
    locate: (path) => {
      const { first, rest } = split(path.slice('gs://'.length))
      return first === '' ? { problem: 'names no bucket' } : { url: `gs:${first}:/${rest}` }
    },
  },
  { provider: 'Azure_Blob', pattern: /^https?:\/\//i, locate: azureLocation },
]

function placeOfBucket(bucket: string, provider: Provider | undefined): EnvironmentPlace {
  if (provider !== undefined && provider !== 'AWS_S3')
    return {
      from: BUCKET_VARIABLE,
      problem: `${STORAGE_PROVIDER_VARIABLE} is ${provider}; unset one of them, or set ${STORAGE_PATH_VARIABLE} alone`,
    }
  const location = s3Location(bucket.replace(/^s3:\/\//i, ''))
  return { from: BUCKET_VARIABLE, ...location }
}

/** At Amazon, or where `AWS_ENDPOINT_URL` says. */
function s3Location(path: string): Located {
  const { first, rest } = split(path)
  if (first === '') return { problem: 'names no bucket' }
  return { url: `s3:s3.amazonaws.com/${first}${rest === '' ? '' : `/${rest}`}` }
}

const bucketOf = (text: string): string => split(text.replace(/^s3:\/\//i, '')).first

/** The account stands in the address and in a variable: both have to be one, since the store takes that of the variable. */
function azureLocation(path: string, environment: Environment): Located {
  const url = URL.parse(path)
  const [, account, suffix] = /^([a-z0-9]+)\.blob\.(.+)$/.exec(url?.hostname ?? '') ?? []
  const { first, rest } = split(url?.pathname ?? '')
  if (account === undefined || first === '' || url?.search) return { problem: `is no folder; ${examples.Azure_Blob}` }
  const expected = variable(environment, 'AZURE_ENDPOINT_SUFFIX') ?? 'core.windows.net'
  const connection = /AccountName=([^;]+)/.exec(variable(environment, 'AZURE_STORAGE_CONNECTION_STRING') ?? '')?.[1]
  const used =
    variable(environment, 'AZURE_ACCOUNT_NAME') ?? connection ?? variable(environment, 'AZURE_STORAGE_ACCOUNT')
  if (used === undefined) return { problem: `also needs AZURE_STORAGE_ACCOUNT: ${account}, and its key` }
  if (used !== account) return { problem: `is of the account ${account}, and the variables name ${used}` }
  if (suffix !== expected) return { problem: `is not at ${expected}; set AZURE_ENDPOINT_SUFFIX to ${suffix}` }
  return { url: `azure:${first}:/${rest}` }
}

function split(path: string): { readonly first: string; readonly rest: string } {
  const [first = '', ...rest] = path.split('/').filter((part) => part !== '')
  return { first, rest: rest.join('/') }
}
