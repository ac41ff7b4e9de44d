import { createHash, createHmac } from 'node:crypto'
import type { MinioServer } from './minio.ts'

/**
 * Credentials of MinIO that may do what a policy allows and nothing else: the owner's, limited by a session policy, which is evaluated as a
 * policy of a user is.
 */
export async function sessionFor(server: MinioServer, policy: unknown): Promise<Readonly<Record<string, string>>> {
  const body = new URLSearchParams({
    Action: 'AssumeRole',
    Version: '2011-06-15',
    DurationSeconds: '3600',
    Policy: JSON.stringify(policy),
  }).toString()
  const { AWS_ACCESS_KEY_ID: key = '', AWS_SECRET_ACCESS_KEY: secret = '' } = server.environment
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const scope = `${day}/us-east-1/sts/aws4_request`
  const host = `127.0.0.1:${server.port}`
  const type = 'application/x-www-form-urlencoded'
  const headers = `content-type:${type}\nhost:${host}\nx-amz-date:${time}\n`
  const names = 'content-type;host;x-amz-date'
  const canonical = ['POST', '/', '', headers, names, sha256(body)].join('\n')
  const signingKey = [day, 'us-east-1', 'sts', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`)
  const signature = hmac(signingKey, ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')).toString('hex')
  const answer = await fetch(server.url, {
    method: 'POST',
    headers: {
      'content-type': type,
      'x-amz-date': time,
      authorization: `AWS4-HMAC-SHA256 Credential=${key}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
    },
    body,
  })
  const text = await answer.text()
  const value = (name: string): string => {
    const found = new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1]
    if (found === undefined) throw new Error(`MinIO gave no ${name}: ${text}`)
    return found
  }
  return {
    AWS_ACCESS_KEY_ID: value('AccessKeyId'),
    AWS_SECRET_ACCESS_KEY: value('SecretAccessKey'),
    AWS_SESSION_TOKEN: value('SessionToken'),
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
