#!/usr/bin/env node
// Written so that any Node can read it: it says which Node is needed, before anything of the program is loaded.
'use strict'
var fs = require('fs')
var path = require('path')
var root = path.join(__dirname, '..')
var own = require('../package.json')
// In a checkout nothing is compiled: Node runs the sources.
var isCompiled = fs.existsSync(path.join(root, 'dist/src/main.js'))
var needed = /\d+\.\d+/.exec(own.engines.node)[0].split('.').map(Number)
var found = process.versions.node.split('.').map(Number)
var isOld = found[0] < needed[0] || (found[0] === needed[0] && found[1] < needed[1])
// As a shell reads it; a URL that may hold a password is not repeated.
var hidden = ''
function shown(word) {
  if (/:\/\/[^/]*@/.test(word)) {
    hidden = 'In place of URL, write yours: it may hold a password, and is not shown.\n'
    return 'URL'
  }
  return /^[\w@%+=:,./-]+$/.test(word) ? word : ["'", word.replace(/'/g, "'\\''"), "'"].join('')
}
if (process.argv[2] === '--version' || process.argv[2] === '-V') console.log(own.version)
else if (isOld) {
  console.error(
    'nightfreight needs Node ' +
      needed.join('.') +
      ' or newer, and this is ' +
      process.versions.node +
      '. One line that gets it:\n\n' +
      '    npx --yes --package node@26 -- nightfreight ' +
      process.argv.slice(2).map(shown).join(' ') +
      '\n' +
      (hidden && '\n' + hidden),
  )
  process.exitCode = 2
} else if (!isCompiled && !fs.existsSync(path.join(root, 'node_modules'))) {
  console.error(
    'nightfreight is a checkout here, and its packages are not installed. In ' + root + ':\n\n    npm ci\n',
  )
  process.exitCode = 2
}
// Not as `import()` in plain sight, which the oldest cannot parse.
else
  new Function('path', 'return import(path)')(isCompiled ? '../dist/src/main.js' : '../src/main.ts').catch(
    error => {
      console.error(error)
      process.exitCode = 1
    },
  )
