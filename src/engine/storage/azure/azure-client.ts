import type { TokenCredential } from '@azure/identity'
import type {
  BlobServiceClient,
  ContainerClient,
  StoragePipelineOptions,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { type NetworkSettings, type TlsOptions, tlsOptions } from '../network.ts'
import type { AzureAccount } from './azure-account.ts'

/** Clients that make one attempt per call. */
export interface AzureClients {
  readonly container: ContainerClient
  readonly service: BlobServiceClient
  /** The service in the account's second region, which there may not be. */
  readonly second: BlobServiceClient
}

/** The clients of a container and its account. Nothing is asked yet. */
export async function azureClients(
  account: AzureAccount,
  container: string,
  network: NetworkSettings,
): Promise<AzureClients> {
  const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob')
  const { credential, endpoint, name } = account
  const query = credential.kind === 'sas' ? `?${credential.token}` : ''
  let identity: TokenCredential | StorageSharedKeyCredential | undefined
  if (credential.kind === 'key') identity = new StorageSharedKeyCredential(name, credential.key)
  if (credential.kind === 'identity') identity = await identityOfMachine()
  const { userAgent } = network
  // The library hands TLS options on, but does not name them among its own.
  const options: StoragePipelineOptions & { readonly tlsOptions: TlsOptions } = {
    retryOptions: { maxTries: 1 },
    tlsOptions: tlsOptions(network),
    ...(userAgent === undefined ? {} : { userAgentOptions: { userAgentPrefix: userAgent } }),
  }
  const clientAt = (url: string): BlobServiceClient => new BlobServiceClient(`${url}${query}`, identity, options)
  const service = clientAt(endpoint)
  return {
    service,
    second: clientAt(endpoint.replace(name, `${name}-secondary`)),
    container: service.getContainerClient(container),
  }
}

/** Whatever identity this machine has: variables, workload or managed identity, the login of Azure's tools. */
async function identityOfMachine(): Promise<TokenCredential> {
  const { DefaultAzureCredential } = await import('@azure/identity')
  return new DefaultAzureCredential()
}
