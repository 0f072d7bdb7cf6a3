import * as path from "node:path";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import * as include from "aws-cdk-lib/cloudformation-include";
import * as sns from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { CedarAuthorizer } from "./cedar-authorizer.js";

/** Which API is watched, and what is unusual. */
export interface MonitoringProps {
  /** The authorizer. */
  readonly authorizer: CedarAuthorizer;
  /** Kind of the API. */
  readonly apiKind: "rest" | "http" | "websocket";
  /** Name of a REST API, id of any other. */
  readonly apiDimension: string;
  /** Stage of the API. */
  readonly stageName: string;
  /** What is told of alarms. Default: nobody. */
  readonly alarmTopic?: sns.ITopic;
  /** More denials than this, of a hundred decisions, are unusual. Default: 50. */
  readonly denialPercent?: number;
  /** A slowest percent of calls that takes longer, in microseconds, is too slow. Default: 250,000. */
  readonly latencyMicroseconds?: number;
}

/** The alarms and the dashboard. They are those of the SAM templates: the same file. */
export class Monitoring extends Construct {
  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    const template = new include.CfnInclude(this, "Template", {
      // From `build/lib`.
      templateFile: path.join(__dirname, "../../../monitoring.yaml"),
      preserveLogicalIds: false,
      parameters: {
        ServiceName: props.authorizer.serviceName,
        MetricsNamespace: props.authorizer.metricsNamespace,
        FunctionName: props.authorizer.function.functionName,
        LogGroupName: props.authorizer.logGroup.logGroupName,
        ApiKind: props.apiKind,
        ApiDimension: props.apiDimension,
        StageName: props.stageName,
        // Its condition cannot name a topic of the same stack; see below.
        AlarmTopicArn: "",
        DenialPercent: props.denialPercent ?? 50,
        LatencyMicroseconds: props.latencyMicroseconds ?? 250_000,
      },
    });
    const actions = props.alarmTopic ? [props.alarmTopic.topicArn] : [];
    for (const alarm of template.node.findAll().filter((child) => child instanceof cloudwatch.CfnAlarm)) {
      alarm.alarmActions = actions;
      alarm.okActions = actions;
    }
  }
}
