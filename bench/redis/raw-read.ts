/** `node raw-read.ts PORT`: takes a server's RDB file over a socket as a replica does, and drops it: no backup can be quicker. */
import { RedisClient } from '../../src/sources/redis/client.ts'
import { startTransfer } from '../../src/sources/redis/transfer.ts'

using client = await RedisClient.connect({ address: { host: '127.0.0.1', port: Number(process.argv[2]) } })
let bytes = 0
for await (const piece of (await startTransfer(client, undefined)).bytes) bytes += piece.length
console.log(bytes)
