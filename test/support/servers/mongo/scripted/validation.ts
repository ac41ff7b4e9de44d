import { arrayValues, asDocument, asString, elements, field, Type } from './bson.ts'
import type { Collection } from './collection.ts'
import { MongoFailure } from './failure.ts'
import { compileFilter, type Filter, typeNumber, valuesAt } from './match.ts'

/**
 * Holds a document against the validator of its collection.
 * @throws MongoFailure DocumentValidationFailure
 */
export function checkDocument(collection: Collection, document: Buffer): void {
  const validator = asDocument(field(collection.options, 'validator'))
  if (validator === undefined) return
  if (asString(field(collection.options, 'validationLevel')) === 'off') return
  if (asString(field(collection.options, 'validationAction')) === 'warn') return
  if (compileValidator(validator)(document)) return
  throw new MongoFailure(121, 'Document failed validation', {
    fields: { errInfo: { failingDocumentId: field(document, '_id') } },
  })
}

function compileValidator(validator: Buffer): Filter {
  const [first] = elements(validator)
  return first?.name === '$jsonSchema' ? compileSchema(first.value.bytes) : compileFilter(validator)
}

/** Of JSON Schema only `required` and `properties.NAME.bsonType`: enough to tell good documents from bad ones. */
function compileSchema(schema: Buffer): Filter {
  const required = field(schema, 'required')
  const names = required === undefined ? [] : arrayValues(required).map((value) => asString(value)!)
  const properties = asDocument(field(schema, 'properties'))
  const typed = properties === undefined ? [] : [...elements(properties)]
  return (document) =>
    names.every((name) => field(document, name) !== undefined) &&
    typed.every(({ name, value }) => {
      const wanted = asDocument(value) && field(value.bytes, 'bsonType')
      if (wanted === undefined) return true
      const types = (wanted.type === Type.array ? arrayValues(wanted) : [wanted]).map(typeNumber)
      const [found] = valuesAt(document, [name])
      return found === undefined || types.includes(found.type)
    })
}
