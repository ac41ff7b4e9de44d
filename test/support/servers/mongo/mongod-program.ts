import { commandPath } from '../../command-path.ts'

/** A real mongod to test with: HOLDFAST_TEST_MONGOD, or what PATH has. */
export const mongodProgram = (): string | undefined => process.env.HOLDFAST_TEST_MONGOD || commandPath('mongod')
