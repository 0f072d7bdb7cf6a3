// The PetStore sample behind a REST API with a TOKEN authorizer. Its methods answer by themselves.
//
//   npx cdk deploy -c userPoolArn=ARN -c userPoolClientIds=ID,ID

import { App, CfnOutput, Duration, Stack } from "aws-cdk-lib";
import * as apigateway from "aws-cdk-lib/aws-apigateway";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as sns from "aws-cdk-lib/aws-sns";
import { CedarAuthorizer } from "../lib/cedar-authorizer.js";
import { Monitoring } from "../lib/monitoring.js";

// Without analytics: their resource has a condition that only a deployment knows.
const app = new App({ analyticsReporting: false });
const setting = (name: string, otherwise: string): string => app.node.tryGetContext(name) ?? otherwise;

const stack = new Stack(app, "CedarAuthorizerExample");

const authorizer = new CedarAuthorizer(stack, "Authorizer", {
  serviceName: stack.stackName,
  code: lambda.Code.fromAsset(setting("package", "../../target/lambda/cedar-authorizer-lambda/bootstrap.zip")),
  userPoolArn: setting("userPoolArn", "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE"),
  userPoolClientIds: setting("userPoolClientIds", "1example23456789").split(","),
  bundleName: "petstore",
  // Goes with the identity source and the TTL below: ask `cedar-authorizer check --template` when you change one.
  cacheKey: "token",
});

const api = new apigateway.RestApi(stack, "PetStoreApi", {
  restApiName: stack.stackName,
  deployOptions: { stageName: "prod" },
  endpointTypes: [apigateway.EndpointType.REGIONAL],
  defaultMethodOptions: {
    authorizer: new apigateway.TokenAuthorizer(stack, "CedarAuthorizer", {
      handler: authorizer.handler,
      // API Gateway reuses an answer for every route called with the same token. With the cache key `token` an answer is
      // right for all of them; so long a change of policy or a revoked token may take.
      resultsCacheTtl: Duration.minutes(5),
    }),
  },
  // A browser sends the preflight without the token, so it has no authorizer.
  defaultCorsPreflightOptions: {
    allowOrigins: apigateway.Cors.ALL_ORIGINS,
    allowMethods: ["GET", "POST"],
    allowHeaders: ["Authorization", "Content-Type"],
  },
});

const answer = new apigateway.MockIntegration({
  passthroughBehavior: apigateway.PassthroughBehavior.NEVER,
  requestTemplates: { "application/json": '{"statusCode": 200}' },
  integrationResponses: [{ statusCode: "200" }],
});
const methodResponses = [{ statusCode: "200" }];
const pets = api.root.addResource("pets");
api.root.addMethod("GET", answer, { methodResponses });
pets.addMethod("GET", answer, { methodResponses });
pets.addMethod("POST", answer, { methodResponses });
pets.addResource("{petId}").addMethod("GET", answer, { methodResponses });

// What the authorizer refuses never reaches an integration: the CORS headers and the challenge of RFC 6750 are here.
const refusal = (type: apigateway.ResponseType, statusCode: string, challenge: string) =>
  api.addGatewayResponse(`Refusal${statusCode}`, {
    type,
    statusCode,
    responseHeaders: {
      "Access-Control-Allow-Origin": "'*'",
      "Access-Control-Expose-Headers": "'WWW-Authenticate'",
      "WWW-Authenticate": `'${challenge}'`,
    },
  });
refusal(apigateway.ResponseType.UNAUTHORIZED, "401", "Bearer");
refusal(apigateway.ResponseType.ACCESS_DENIED, "403", 'Bearer error="insufficient_scope"');

new Monitoring(stack, "Monitoring", {
  authorizer,
  apiKind: "rest",
  apiDimension: stack.stackName,
  stageName: "prod",
  // Subscribe to it: `aws sns subscribe`.
  alarmTopic: new sns.Topic(stack, "Alarms"),
});

new CfnOutput(stack, "ApiUrl", { value: api.url });
new CfnOutput(stack, "PublishCommand", { value: `cedar-authorizer publish --to ${authorizer.bundleUri}` });
