import { expect, test } from 'vitest'
import { openStorage } from '../locations.ts'
import { errorFrom } from '../testing.ts'
import { describeS3Place, parseS3Place } from './s3-place.ts'

test.each([
  ['s3.amazonaws.com/bucket', undefined, 'bucket', '', undefined],
  ['s3.eu-central-1.amazonaws.com/bucket/a/b/', undefined, 'bucket', 'a/b', 'eu-central-1'],
  ['s3-us-west-2.amazonaws.com/bucket', undefined, 'bucket', '', 'us-west-2'],
  ['s3.dualstack.us-west-2.amazonaws.com/bucket', undefined, 'bucket', '', 'us-west-2'],
  ['https://s3.cn-north-1.amazonaws.com.cn/bucket', undefined, 'bucket', '', 'cn-north-1'],
  ['//s3.amazonaws.com/bucket/p', undefined, 'bucket', 'p', undefined],
  ['store.example/bucket', 'https://store.example', 'bucket', '', undefined],
  ['http://localhost:9000/bucket/x//y', 'http://localhost:9000', 'bucket', 'x/y', undefined],
  ['minio:9000/bucket', 'https://minio:9000', 'bucket', '', undefined],
  ['https://minio/bucket', 'https://minio', 'bucket', '', undefined],
  ['[::1]:9000/bucket', 'https://[::1]:9000', 'bucket', '', undefined],
  ['s3.amazonaws.com.evil.example/bucket', 'https://s3.amazonaws.com.evil.example', 'bucket', '', undefined],
])('%s is understood', (place, endpoint, bucket, prefix, region) => {
  expect(parseS3Place(place, {})).toEqual({ endpoint, bucket, prefix, region })
})

test.each([
  ['', 'names no host'],
  ['s3.amazonaws.com', 'names no bucket'],
  ['https://store.example/', 'names no bucket'],
  ['https://key:hunter2@store.example/bucket', 'has a user or a password'],
  ['//my-bucket/prefix', 'is no host'],
  ['store.example/bucket?versionId=1', 'has a ? or #'],
  ['store.example/bucket/%zz', 'has a %'],
])('s3:%s is refused', async (place, words) => {
  const error = await errorFrom(() => openStorage(`s3:${place}`))
  expect(error.code).toBe('HF_STORAGE_LOCATION')
  expect(error.message).toContain(words)
  expect(`${error.message} ${error.hint}`).not.toContain('hunter2')
})

test('an endpoint of the environment takes the place of Amazon, and of nobody else', () => {
  const environment = { AWS_ENDPOINT_URL: 'http://127.0.0.1:9000/' }
  expect(describeS3Place(parseS3Place('s3.amazonaws.com/bucket/p', environment))).toBe(
    's3:http://127.0.0.1:9000/bucket/p',
  )
  expect(describeS3Place(parseS3Place('store.example/bucket', environment))).toBe('s3:https://store.example/bucket')
  const both = { ...environment, AWS_ENDPOINT_URL_S3: 'https://s3.example' }
  expect(parseS3Place('s3.amazonaws.com/bucket', both).endpoint).toBe('https://s3.example')
  expect(() => parseS3Place('s3.amazonaws.com/b', { AWS_ENDPOINT_URL: 'https://a:hunter2@b' })).toThrow('is no address')
})

test.each([
  ['connections', '0'],
  ['bucket-lookup', 'somehow'],
  ['restore-days', '0'],
  ['restore-tier', 'Quick'],
  ['restore-timeout', 'soon'],
  ['unsafe-anonymous-auth', 'maybe'],
  ['sse', 'ROT13'],
])('a wrong value of s3.%s is refused', async (name, value) => {
  const error = await errorFrom(() => openStorage('s3:store.example/bucket', { extended: [`s3.${name}=${value}`] }))
  expect(error.code).toBe('HF_USAGE')
  expect(error.message).toContain(`s3.${name}`)
})
