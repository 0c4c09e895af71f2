// Opens pages in a browser and has them do what lines of JSON on the standard input say: see channels_browser_test.go. What pages say is printed, one
// JSON object a line. It ends, and the browser with it, with its input.
const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");

const { BROWSER, PROFILE } = process.env;
const say = (what) => console.log(JSON.stringify(what));

async function main() {
  const browser = await chromium.launchPersistentContext(PROFILE, {
    executablePath: BROWSER,
    headless: true,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  await browser.exposeFunction("say", say);
  const pages = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const { at, call, with: argument } = JSON.parse(line);
    if (!pages.has(at)) {
      const page = await browser.newPage();
      page.on("pageerror", (error) => console.error(String(error)));
      page.on("console", (message) => console.error(message.text()));
      await page.goto(at);
      pages.set(at, page);
    }
    await pages.get(at).evaluate(([name, value]) => void window[name](value), [call, argument]);
  }
  await browser.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
