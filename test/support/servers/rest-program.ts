import { commandPath } from '../command-path.ts'

/** restic's own REST server, when the machine has one: no package of Debian 12 brings it. */
export const restServerProgram = (): string | undefined =>
  process.env.HOLDFAST_TEST_REST_SERVER ?? commandPath('restic-rest-server') ?? commandPath('rest-server')
