// Runs behind the Node block of docs/user-gateway.md, with its `grpc`, `gateway` and `metadata`: callers that ask again and again, each
// with one call under way, until standard input ends. Writes their calls by status as a JSON line, often, and once more at the end.
const answers = {}
let over = false
process.stdin.on('end', () => { over = true }).resume()

const ask = () => new Promise((resolve) => {
  gateway.GetUser({ id: 1 }, metadata, { deadline: Date.now() + 10000 }, (error) => {
    const code = error ? grpc.status[error.code] : 'OK'
    answers[code] = (answers[code] ?? 0) + 1
    resolve()
  })
})
const caller = async () => { while (!over) await ask() }
const tell = () => console.log(JSON.stringify(answers))

const telling = setInterval(tell, 50)
Promise.all(Array.from({ length: Number(process.env.CALLERS) }, caller)).then(() => {
  clearInterval(telling)
  tell()
  gateway.close()
})
