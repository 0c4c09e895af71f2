// Runs the test script of argv[2] in the place of studio.luau, whose quality argv[3] says, and prints what the script prints.
import { readFileSync } from 'node:fs'
import { LuauState } from 'luau-web'

const lines = []
const state = await LuauState.createAsync({ print: (...values) => lines.push(values.join(' ')), quality: process.argv[3] })
const place = readFileSync(new URL('studio.luau', import.meta.url), 'utf8')
const script = readFileSync(process.argv[2], 'utf8').replace(/^--!strict\n/, '')
// One chunk, so that the objects of the place stay on the side of the virtual machine.
const whole = `local game, workspace, task, Enum = (function(...)\n${place}\nend)(...)\n${script}`
await state.loadstring(whole, 'tests', true)()
console.log(lines.join('\n'))
