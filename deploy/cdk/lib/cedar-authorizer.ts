import { ArnFormat, Aws, Duration, RemovalPolicy, SecretValue, Stack, Tags } from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import * as s3 from "aws-cdk-lib/aws-s3";
import * as secretsmanager from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";

/** How the authorizer is set up. docs/function.md has the variables behind these. */
export interface CedarAuthorizerProps {
  /** Name in logs, metrics and alarms. Each deployment needs its own. */
  readonly serviceName: string;
  /** The function: the zip file that `cargo lambda build --release --output-format zip` makes. */
  readonly code: lambda.Code;
  /** What the code was built for. Default: arm64. */
  readonly architecture?: lambda.Architecture;
  /** ARN of the Cognito user pool whose tokens are accepted. */
  readonly userPoolArn: string;
  /** App clients of the pool. */
  readonly userPoolClientIds: string[];
  /** `name` in the store.toml of the policy store. */
  readonly bundleName: string;
  /** Key of the bundle in its bucket. Default: the name of the store with `.bundle`. */
  readonly bundleKey?: string;
  /** Who may sign bundles, as `cedar-authorizer keygen` prints it. Default: unsigned bundles are let in. */
  readonly bundlePublicKeys?: string[];
  /** What API Gateway keeps answers under. It goes with the identity sources and the TTL of the authorizer. */
  readonly cacheKey: string;
  /** Memory of the function in MB. Default: 256. */
  readonly memorySize?: number;
  /** Instances that are kept ready. Default: none. */
  readonly provisionedConcurrency?: number;
  /** A VPC. It must reach S3, and the issuer's keys unless the bundle has them. Default: none. */
  readonly vpc?: ec2.IVpc;
  /** The subnets in it. Default: the private ones. */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /** The security groups in it. Default: a new one. */
  readonly securityGroups?: ec2.ISecurityGroup[];
  /** A key of your own for bucket, log and variables. Default: AWS's keys. */
  readonly encryptionKey?: kms.IKey;
  /** Which decisions get a line in the log. Default: all. */
  readonly decisionLog?: "all" | "deny" | "off";
  /** Form of the lines. Default: json. */
  readonly decisionLogFormat?: "json" | "ocsf";
  /** Share of Allows that get a line, 0 to 1. Default: 1. */
  readonly decisionLogSampleRate?: number;
  /** Whether a line has the Cedar request. Default: no. */
  readonly decisionLogRequests?: boolean;
  /** Claims whose values are in the line. Default: none. */
  readonly decisionLogClaims?: string[];
  /** The secret that caller's ids are hashed with, or how else they are in the log. Default: plain. */
  readonly principalIds?: "plain" | "off" | { readonly hashedWith: secretsmanager.ISecret };
  /** Namespace of the metrics. Default: CedarAuthorizer. */
  readonly metricsNamespace?: string;
  /** How long logs are kept. Default: 30 days. */
  readonly logRetention?: logs.RetentionDays;
  /** The secret that bundles are signed with. Whoever publishes may read it. */
  readonly signingKey?: secretsmanager.ISecret;
}

/** cedar-authorizer without an API: the function, its role and its log, the bucket for its bundle, and who may publish. */
export class CedarAuthorizer extends Construct {
  /** The function. */
  readonly function: lambda.Function;
  /** What an authorizer names: the function, or its alias if it has provisioned concurrency. */
  readonly handler: lambda.IFunction;
  /** The bucket of the bundle. */
  readonly bucket: s3.Bucket;
  /** Where the function looks for its bundle. */
  readonly bundleUri: string;
  /** The log of the function. */
  readonly logGroup: logs.LogGroup;
  /** The policy for whoever publishes. */
  readonly publisherPolicy: iam.ManagedPolicy;
  /** Name in logs, metrics and alarms. */
  readonly serviceName: string;
  /** Namespace of the metrics. */
  readonly metricsNamespace: string;

  constructor(scope: Construct, id: string, props: CedarAuthorizerProps) {
    super(scope, id);
    this.serviceName = props.serviceName;
    this.metricsNamespace = props.metricsNamespace ?? "CedarAuthorizer";
    const key = props.bundleKey ?? `${props.bundleName}.bundle`;

    this.bucket = this.makeBucket(props);
    this.bundleUri = `s3://${this.bucket.bucketName}/${key}`;
    this.logGroup = this.makeLogGroup(props);
    this.function = this.makeFunction(props, this.makeRole(props, key));
    this.handler = props.provisionedConcurrency
      ? new lambda.Alias(this, "Alias", {
          aliasName: "live",
          version: this.function.currentVersion,
          provisionedConcurrentExecutions: props.provisionedConcurrency,
        })
      : this.function;
    this.publisherPolicy = this.makePublisherPolicy(props, key);
    Tags.of(this).add("application", props.serviceName);
  }

  /**
   * A role for a CI system that proves by OIDC who it is. `subject` is the one that may publish, such as
   * `repo:OWNER/REPOSITORY:ref:refs/heads/main`: a wildcard would let in every branch.
   */
  addPublisher(provider: iam.IOpenIdConnectProvider, subject: string): iam.Role {
    const issuer = provider.openIdConnectProviderIssuer;
    return new iam.Role(this, "PublisherRole", {
      assumedBy: new iam.WebIdentityPrincipal(provider.openIdConnectProviderArn, {
        StringEquals: { [`${issuer}:aud`]: `sts.${Aws.URL_SUFFIX}`, [`${issuer}:sub`]: subject },
      }),
      managedPolicies: [this.publisherPolicy],
    });
  }

  private makeBucket(props: CedarAuthorizerProps): s3.Bucket {
    const encryptionKey = props.encryptionKey;
    return new s3.Bucket(this, "Bucket", {
      ...(encryptionKey
        ? { encryption: s3.BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }
        : { encryption: s3.BucketEncryption.S3_MANAGED }),
      versioned: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        {
          // The last ten stay whatever their age: what was in force is what an audit asks for.
          id: "OldBundles",
          noncurrentVersionExpiration: Duration.days(90),
          noncurrentVersionsToRetain: 10,
          abortIncompleteMultipartUploadAfter: Duration.days(7),
        },
      ],
    });
  }

  private makeLogGroup(props: CedarAuthorizerProps): logs.LogGroup {
    const logGroupName = `/aws/lambda/${props.serviceName}-authorizer`;
    // Without this in the key policy, CloudWatch Logs refuses the key. A key of another stack has to have it already.
    props.encryptionKey?.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal(`logs.${Stack.of(this).region}.amazonaws.com`)],
        actions: ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        resources: ["*"],
        conditions: {
          ArnEquals: {
            "kms:EncryptionContext:aws:logs:arn": Stack.of(this).formatArn({
              service: "logs",
              resource: "log-group",
              resourceName: logGroupName,
              arnFormat: ArnFormat.COLON_RESOURCE_NAME,
            }),
          },
        },
      }),
    );
    return new logs.LogGroup(this, "LogGroup", {
      logGroupName,
      retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
      ...(props.encryptionKey && { encryptionKey: props.encryptionKey }),
    });
  }

  /** By hand, since AWSLambdaBasicExecutionRole may write to every log group of the account. */
  private makeRole(props: CedarAuthorizerProps, key: string): iam.Role {
    const role = new iam.Role(this, "Role", { assumedBy: new iam.ServicePrincipal("lambda.amazonaws.com") });
    const allow = (actions: string[], resources: string[]) =>
      role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
    // No s3:ListBucket: nobody but tenants needs to know a missing bundle from a forbidden one.
    allow(["s3:GetObject", "s3:GetObjectVersion"], [this.bucket.arnForObjects(key)]);
    allow(["logs:CreateLogStream", "logs:PutLogEvents"], [this.logGroup.logGroupArn]);
    if (props.encryptionKey) {
      allow(["kms:Decrypt"], [props.encryptionKey.keyArn]);
    }
    if (props.vpc) {
      // Lambda makes the network interfaces with the function's role. EC2 knows no narrower resource for all of these.
      allow(
        [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:UnassignPrivateIpAddresses",
        ],
        ["*"],
      );
      // Only Lambda itself: calls of the function's code have a source.
      role.addToPolicy(
        new iam.PolicyStatement({
          effect: iam.Effect.DENY,
          actions: ["ec2:*"],
          resources: ["*"],
          conditions: { Null: { "lambda:SourceFunctionArn": "false" } },
        }),
      );
    }
    return role;
  }

  private makeFunction(props: CedarAuthorizerProps, role: iam.Role): lambda.Function {
    const environment: Record<string, string> = {
      BUNDLE_URI: this.bundleUri,
      BUNDLE_NAME: props.bundleName,
      CACHE_KEY: props.cacheKey,
      USER_POOL_ARN: props.userPoolArn,
      USER_POOL_CLIENT_IDS: props.userPoolClientIds.join(","),
      DECISION_LOG: props.decisionLog ?? "all",
      DECISION_LOG_FORMAT: props.decisionLogFormat ?? "json",
      DECISION_LOG_SAMPLE_RATE: `${props.decisionLogSampleRate ?? 1}`,
      DECISION_LOG_REQUESTS: `${props.decisionLogRequests ?? false}`,
      PRINCIPAL_IDS: typeof props.principalIds === "object" ? "hashed" : (props.principalIds ?? "plain"),
      POWERTOOLS_SERVICE_NAME: this.serviceName,
      POWERTOOLS_METRICS_NAMESPACE: this.metricsNamespace,
    };
    if (props.bundlePublicKeys?.length) {
      environment.BUNDLE_PUBLIC_KEYS = props.bundlePublicKeys.join(",");
    }
    if (props.decisionLogClaims?.length) {
      environment.DECISION_LOG_CLAIMS = props.decisionLogClaims.join(",");
    }
    if (typeof props.principalIds === "object") {
      // Whoever may read the function's configuration can read the key. Lambda keeps it encrypted.
      environment.PRINCIPAL_IDS_KEY = SecretValue.secretsManager(
        props.principalIds.hashedWith.secretArn,
      ).unsafeUnwrap();
    }
    return new lambda.Function(this, "Function", {
      description: "Verifies a JWT and evaluates Cedar policies for API Gateway.",
      code: props.code,
      handler: "bootstrap",
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: props.architecture ?? lambda.Architecture.ARM_64,
      memorySize: props.memorySize ?? 256,
      // An HTTP API stops waiting for its authorizer after 10 s. End before, so that the log says why.
      timeout: Duration.seconds(9),
      role,
      logGroup: this.logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      environment,
      ...(props.encryptionKey && { environmentEncryption: props.encryptionKey }),
      ...(props.vpc && { vpc: props.vpc }),
      ...(props.vpcSubnets && { vpcSubnets: props.vpcSubnets }),
      ...(props.securityGroups && { securityGroups: props.securityGroups }),
    });
  }

  private makePublisherPolicy(props: CedarAuthorizerProps, key: string): iam.ManagedPolicy {
    const statements = [
      // `publish` reads what is there, and writes it and its history (KEY.1, KEY.2, ...). It deletes nothing but the
      // parts of an upload that failed.
      new iam.PolicyStatement({
        actions: ["s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
        resources: [this.bucket.arnForObjects(key), this.bucket.arnForObjects(`${key}.*`)],
      }),
      // For the history, and so that S3 says 404 where nothing is. A condition on the prefix would take the 404 away.
      new iam.PolicyStatement({ actions: ["s3:ListBucket"], resources: [this.bucket.bucketArn] }),
    ];
    if (props.encryptionKey) {
      statements.push(
        new iam.PolicyStatement({
          actions: ["kms:Decrypt", "kms:GenerateDataKey"],
          resources: [props.encryptionKey.keyArn],
          conditions: { StringEquals: { "kms:ViaService": `s3.${Stack.of(this).region}.${Aws.URL_SUFFIX}` } },
        }),
      );
    }
    if (props.signingKey) {
      statements.push(
        new iam.PolicyStatement({
          actions: ["secretsmanager:GetSecretValue"],
          resources: [props.signingKey.secretArn],
        }),
      );
    }
    return new iam.ManagedPolicy(this, "PublisherPolicy", {
      description: `Publishes bundles for ${this.serviceName}.`,
      statements,
    });
  }
}
