// A policy store for a pet shop, as an application of CDK declares it.
const { App, CfnParameter, Stack } = require('aws-cdk-lib');
const { UserPool } = require('aws-cdk-lib/aws-cognito');
const avp = require('@cdklabs/cdk-verified-permissions');

const application = { type: 'Record', attributes: {} };
const schema = {
  PetShop: {
    entityTypes: { User: { memberOfTypes: ['Group'] }, Group: {}, Application: { shape: application } },
    actions: {
      'get /pets': { appliesTo: { principalTypes: ['User'], resourceTypes: ['Application'] } },
      'post /pets': { appliesTo: { principalTypes: ['User'], resourceTypes: ['Application'] } },
    },
  },
};

const app = new App();
const stack = new Stack(app, 'PetShop');
const users = new UserPool(stack, 'Users');
const store = new avp.PolicyStore(stack, 'Store', {
  description: 'Pet shop',
  validationSettings: { mode: avp.ValidationSettingsMode.STRICT },
  schema: { cedarJson: JSON.stringify(schema) },
});
new avp.IdentitySource(stack, 'Source', {
  policyStore: store,
  principalEntityType: 'PetShop::User',
  configuration: {
    cognitoUserPoolConfiguration: {
      userPool: users,
      clientIds: ['1example23456789'],
      groupConfiguration: { groupEntityType: 'PetShop::Group' },
    },
  },
});
avp.Policy.fromFile(stack, 'See', { policyStore: store, path: `${__dirname}/policies/see.cedar` });
const template = new avp.PolicyTemplate(stack, 'Seller', {
  policyStore: store,
  description: 'May sell pets',
  statement: 'permit (principal == ?principal, action == PetShop::Action::"post /pets", resource);\n',
});
new avp.Policy(stack, 'Mara', {
  policyStore: store,
  definition: {
    templateLinked: {
      policyTemplate: template,
      principal: { entityType: 'PetShop::User', entityId: 'us-east-1_EXAMPLE|mara' },
    },
  },
});
const note = new CfnParameter(stack, 'Season', { default: 'winter' });
new avp.Policy(stack, 'Closed', {
  policyStore: store,
  definition: {
    static: {
      enablePolicyValidation: false,
      statement: `@id("closed")\n@season("${note.valueAsString}")\nforbid (principal, action == PetShop::Action::"post /pets", resource);\n`,
    },
  },
});
app.synth();
