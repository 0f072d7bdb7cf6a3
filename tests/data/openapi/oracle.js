// What AVP's own generator makes of a description. It reads JSON alone.
// Usage: node oracle.js DESCRIPTION [GROUP_TYPE] > EXPECTED
const { PolicyStore } = require('@cdklabs/cdk-verified-permissions');
const [description, groupType] = process.argv.slice(2);
process.stdout.write(JSON.stringify(PolicyStore.schemaFromOpenApiSpec(description, groupType), null, 2) + '\n');
