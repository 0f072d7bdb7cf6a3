// Plays a story with the AWS SDK for JavaScript. The folder of its package is the last argument.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [endpoint, story, given, folder] = process.argv.slice(2);
const sdk = createRequire(`${folder}/`)("@aws-sdk/client-verifiedpermissions");
const values = JSON.parse(given);
const client = new sdk.VerifiedPermissionsClient({ endpoint });

function filled(value) {
    if (typeof value === "string") return value.replace(/\$([a-z]+)/g, (all, name) => values[name] ?? all);
    if (Array.isArray(value)) return value.map(filled);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, element]) => [name, filled(element)]));
}

for (const step of JSON.parse(readFileSync(story, "utf8"))) {
    const { operation } = step;
    try {
        const { $metadata, ...output } = await client.send(new sdk[`${operation}Command`](filled(step.input)));
        console.log(JSON.stringify({ operation, output }));
        for (const [name, member] of Object.entries(step.keep ?? {})) values[name] = output[member];
    } catch (error) {
        // Errors of the API are classes of the package.
        if (!sdk[error.name] || !(error instanceof sdk[error.name])) throw error;
        console.log(JSON.stringify({ operation, error: error.name }));
    }
}
