// Reads scripts from a JSON file ([{name, source}]) and runs each in the Luau machine on a new mock of the engine. Prints a line of JSON
// for each: {name, records} or {name, error}. One machine serves all, for its memory does not grow and another one does not start.
import { readFileSync } from 'node:fs'
import { LuauState } from 'luau-web'

const engine = readFileSync(new URL('./engine.luau', import.meta.url), 'utf8')
const state = await LuauState.createAsync()
for (const { name, source } of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
	const out = { name }
	try {
		await state.loadstring(engine, 'engine', true)()
		await state.loadstring(source, 'script', true)()
		const [records] = await state.loadstring('return records()', 'end', true)()
		out.records = JSON.parse(records)
	} catch (error) {
		out.error = String(error)
	}
	console.log(JSON.stringify(out))
}
process.exit(0)
