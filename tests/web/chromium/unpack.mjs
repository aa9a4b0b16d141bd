// Unpacks Chromium and the libraries that it comes with into the temporary folder (TMPDIR).
import chromium from '@sparticuz/chromium';

console.log(await chromium.executablePath());
